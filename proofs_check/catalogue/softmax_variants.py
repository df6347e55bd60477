"""Softmax policy gradient with other steps, parametrisations and regularisers.  Derivation: docs/theory/softmax_variants.md"""
