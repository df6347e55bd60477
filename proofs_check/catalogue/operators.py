"""Soft, interpolated and mapped Bellman operators, soft policy iteration.  Derivation: docs/theory/operators.md"""
