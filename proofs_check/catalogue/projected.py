"""Projected (direct) policy gradient.  Derivation: docs/theory/projected.md"""
