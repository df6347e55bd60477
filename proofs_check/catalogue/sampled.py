"""Statements about sampled methods, judged statistically.  Derivation: docs/theory/sampling.md"""
