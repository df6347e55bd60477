"""Mixtures of controllers, stateful policies, critics and other structures around a policy."""
