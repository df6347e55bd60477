"""Surrogates and trust regions: conservative policy iteration, TRPO, PPO and its kin.  Derivation: docs/theory/surrogates.md"""
