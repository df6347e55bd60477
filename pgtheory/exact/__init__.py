"""Exact solvers: every answer comes with lower and upper bounds that hold."""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    "state_values": "pgtheory.exact.evaluation",
    "action_values": "pgtheory.exact.evaluation",
    "advantages": "pgtheory.exact.evaluation",
    "occupancy": "pgtheory.exact.evaluation",
    "state_occupancy": "pgtheory.exact.evaluation",
    "expected_gae": "pgtheory.exact.estimators",
    "batch_optimal": "pgtheory.exact.batch",
    "solve": "pgtheory.exact.door",
    "solve_exactly": "pgtheory.exact.door",
    "certify": "pgtheory.exact.rigorous",
    "Certificate": "pgtheory.exact.certificate",
    "CertificateError": "pgtheory.exact.certificate",
    "Bounds": "pgtheory.exact.certificate",
    "AverageCertificate": "pgtheory.exact.undiscounted_certificate",
    "GameCertificate": "pgtheory.exact.undiscounted_certificate",
    "HorizonCertificate": "pgtheory.exact.undiscounted_certificate",
    "ReachabilityCertificate": "pgtheory.exact.undiscounted_certificate",
    "TotalRewardCertificate": "pgtheory.exact.undiscounted_certificate",
    "check_certificate": "pgtheory.exact.certificate",
    "solve_average": "pgtheory.exact.average",
    "solve_average_exactly": "pgtheory.exact.average",
    "solve_finite_horizon": "pgtheory.exact.finite_horizon",
    "reachability": "pgtheory.exact.undiscounted",
    "total_reward": "pgtheory.exact.undiscounted",
    "answer": "pgtheory.exact.door",
    "solve_game": "pgtheory.exact.games",
    "primal_values": "pgtheory.exact.linear_program",
    "dual_occupancy": "pgtheory.exact.linear_program",
    "Solution": "pgtheory.solution",
    "AverageSolution": "pgtheory.exact.average",
    "ExactAverage": "pgtheory.exact.average",
    "ExactSolution": "pgtheory.solution",
    "GameSolution": "pgtheory.exact.games",
    "StageSolution": "pgtheory.exact.finite_horizon",
    "NotConverged": "pgtheory.solution",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazily(__name__, _HOME)
