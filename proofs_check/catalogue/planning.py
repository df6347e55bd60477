"""Dynamic programming: contraction, iteration counts, modified and approximate policy iteration, linear programs.  Derivation: docs/theory/planning.md"""
