"""Iterations of values and of policies that are no policy gradient method: modified, approximate, one-switch-at-a-time."""
