"""Surrogates, divergences between policies, and trust regions."""
