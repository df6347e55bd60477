"""The landscape of V: smoothness, gradient domination, vanishing gradients.  Derivation: docs/theory/landscape.md"""
