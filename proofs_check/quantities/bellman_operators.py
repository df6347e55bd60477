"""Bellman operators, optimal, soft, interpolated and mapped, on vectors that the instance brings along."""
