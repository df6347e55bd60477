"""Policy mirror descent, natural gradient beyond 1/T, regularised and mirror learning.  Derivation: docs/theory/mirror_descent.md"""
