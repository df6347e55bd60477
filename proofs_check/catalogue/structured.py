"""Finite horizons, structured policies and the exact mechanisms of estimators.  Derivation: docs/theory/structured.md"""
