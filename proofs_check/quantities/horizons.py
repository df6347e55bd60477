"""Finite horizons: stages, their values and their gradients."""
