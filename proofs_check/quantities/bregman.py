"""Bregman divergences and the potentials of mirror descent."""
