"""Escort, log-linear and normalised variants of the softmax parametrisation."""
