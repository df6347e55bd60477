"""Exact solvers: every answer comes with lower and upper bounds that hold."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "state_values": "pgtheory.exact.evaluation",
    "action_values": "pgtheory.exact.evaluation",
    "advantages": "pgtheory.exact.evaluation",
    "occupancy": "pgtheory.exact.evaluation",
    "state_occupancy": "pgtheory.exact.evaluation",
    "batch_optimal": "pgtheory.exact.batch",
    "solve": "pgtheory.exact.discounted",
    "solve_exactly": "pgtheory.exact.rational",
    "certify": "pgtheory.exact.rigorous",
    "Certificate": "pgtheory.exact.certificate",
    "CertificateError": "pgtheory.exact.certificate",
    "check_certificate": "pgtheory.exact.certificate",
    "solve_average": "pgtheory.exact.average",
    "solve_average_exactly": "pgtheory.exact.average",
    "AverageSolution": "pgtheory.exact.average",
    "solve_finite_horizon": "pgtheory.exact.finite_horizon",
    "reachability": "pgtheory.exact.undiscounted",
    "total_reward": "pgtheory.exact.undiscounted",
    "solve_game": "pgtheory.exact.games",
    "primal_values": "pgtheory.exact.linear_program",
    "dual_occupancy": "pgtheory.exact.linear_program",
    "Solution": "pgtheory.solution",
    "ExactSolution": "pgtheory.solution",
    "NotConverged": "pgtheory.solution",
}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'pgtheory.exact' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
