"""Whether a solution says no more than the certificate that it carries: for `certify`.

A certificate that holds proves its own figures, for its own question.  A solution that carries it may claim wider bounds, never narrower ones, and
nothing besides:

    the question        criterion, targets, through, rewards and direction as in the certificate
    exact values        those of the certificate; +-infinity exactly where it says so, with the sign that follows from the rewards
    bounds              lower <= its lower bound, upper >= its upper bound, lower <= values <= upper
    actions             the certificate's policy; for a discounted optimum any actions that attain the Bellman equation
    optimal_actions     what the checker found, where the solution has them

An exact solution keeps no question of its own: it answers that of its certificate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mdps.model import MDP
from mdps.rational import rational, to_float
from pgtheory.exact.certificate import Bounds, Certificate, CertificateError
from pgtheory.exact.undiscounted_certificate import AverageCertificate, HorizonCertificate, ReachabilityCertificate, TotalRewardCertificate

Array = np.ndarray


def check_exact_solution(solution: Any, mask: Array) -> None:
    """An ExactSolution against its certificate; mask (S, A) is what `check_certificate` returned.

    raises   CertificateError: the first figure that the certificate does not prove
    """
    certificate = solution.certificate
    if isinstance(certificate, Certificate):
        _same(solution.values, certificate.values, "value")
        _optimal(solution.actions, mask)
    elif isinstance(certificate, ReachabilityCertificate | TotalRewardCertificate):
        for side in _sides(solution.mdp, certificate):
            _same(solution.values, side, "value")
        _same_actions(solution.actions, certificate.actions)
    else:
        raise CertificateError(f"an exact solution carries {_kind(certificate)}, which proves no exact values")
    _same_mask(solution.optimal_actions, mask)


def check_exact_average(solution: Any, mask: Array) -> None:
    """An ExactAverage against its certificate.

    raises   CertificateError: the first figure that the certificate does not prove
    """
    certificate = _of_kind(solution.certificate, AverageCertificate)
    for gain, bias in ((certificate.lower, certificate.lower_bias), (certificate.upper, certificate.upper_bias)):
        _same(solution.gain, gain, "gain")
        _same(solution.bias, bias, "bias")
    _same_actions(solution.actions, certificate.actions)
    _same_mask(solution.optimal_actions, mask)


def check_average(solution: Any, mask: Array) -> None:
    """An AverageSolution against its certificate.

    raises   CertificateError: the first figure that the certificate does not prove
    """
    certificate = _of_kind(solution.certificate, AverageCertificate)
    _enclosed(solution.gain, solution.lower, solution.upper, certificate.lower, certificate.upper)
    _same(solution.bias, to_float(certificate.lower_bias), "bias")
    _same_actions(solution.actions, certificate.actions)
    _same_mask(solution.optimal_actions, mask)


def check_answer(mdp: MDP, solution: Any, mask: Array) -> None:
    """A Solution of a reachability or total-reward question against its certificate.

    raises   CertificateError: another question, or the first figure that the certificate does not prove
    """
    from pgtheory.exact.proofs import exact_rewards

    question, kinds = solution.details, {"reachability": ReachabilityCertificate, "total reward": TotalRewardCertificate}
    certificate = _of_kind(solution.certificate, kinds[question["criterion"]])
    asked = [("direction", question["direction"]), ("targets", question["targets"])]
    asked += [("through", question["through"])] if "through" in question else [("rewards", exact_rewards(mdp, question["rewards"]))]
    for name, given in asked:
        if not np.array_equal(np.asarray(given), np.asarray(getattr(certificate, name))):
            raise CertificateError(f"the certificate answers another question than the solution: its {name} differ")
    _enclosed(solution.values, solution.lower, solution.upper, *_sides(mdp, certificate))
    _same_actions(solution.actions, certificate.actions)
    _same_mask(question.get("optimal_actions"), mask)


def check_horizon(solution: Any, masks: list[Array]) -> None:
    """A StageSolution against its certificate; masks: one (S_t, A_t) for each step.

    raises   CertificateError: the first figure that the certificate does not prove, and its step
    """
    certificate = _of_kind(solution.certificate, HorizonCertificate)
    steps = len(certificate.actions)
    lengths = [len(part) for part in (solution.values, solution.lower, solution.upper, solution.actions, solution.optimal_actions)]
    if lengths != [steps + 1] * 3 + [steps] * 2:
        raise CertificateError(f"the solution has {len(solution.actions)} steps, its certificate {steps}")
    for t in range(steps + 1):
        place = f"step {t}: "
        _enclosed(solution.values[t], solution.lower[t], solution.upper[t], certificate.lower[t], certificate.upper[t], place)
        if t < steps:
            _same_actions(solution.actions[t], certificate.actions[t], place)
            _same_mask(solution.optimal_actions[t], masks[t], place)


def _of_kind(certificate: Any, kind: type) -> Any:
    if not isinstance(certificate, kind):
        raise CertificateError(f"the solution carries {_kind(certificate)}, which does not prove an answer of its kind")
    return certificate


def _kind(certificate: Any) -> str:
    return "bounds" if isinstance(certificate, Bounds) else f"a {type(certificate).__name__}"


def _sides(mdp: MDP, certificate: Any) -> tuple[list[Any], list[Any]]:
    """The certificate's lower and upper bounds, with the infinite values in their places."""
    infinite = [bool(x) for x in getattr(certificate, "infinite", np.zeros(len(certificate.lower), dtype=bool))]
    if not any(infinite):
        return list(certificate.lower), list(certificate.upper)
    sign = 1 if certificate.direction == "max" else -1
    outside = ~np.asarray(certificate.targets, dtype=bool)[np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))]
    gains = any(sign * r > 0 for r in np.asarray(certificate.rewards, dtype=object)[outside].tolist())
    endless = math.inf * (sign if gains else -sign)
    low, high = ([endless if far else v for far, v in zip(infinite, side, strict=True)] for side in (certificate.lower, certificate.upper))
    return low, high


def _same(claimed: Any, proved: Any, what: str) -> None:
    if len(claimed) != len(proved):
        raise CertificateError(f"the solution has {len(claimed)} figures, its certificate {len(proved)}")
    for s, (mine, known) in enumerate(zip(list(claimed), list(proved), strict=True)):
        if not mine == known:
            raise CertificateError(f"the solution's {what} of state {s} is {_text(mine)}, and its certificate proves {_text(known)}")


def _enclosed(values: Any, lower: Any, upper: Any, low: Any, high: Any, place: str = "") -> None:
    if not len(values) == len(lower) == len(upper) == len(low) == len(high):
        raise CertificateError(f"{place}the solution has {len(values)} values, {len(lower)} and {len(upper)} bounds; its certificate {len(low)}")
    for s, (value, a, b, proved_low, proved_high) in enumerate(zip(*map(list, (values, lower, upper, low, high)), strict=True)):
        if not _at_most(a, proved_low):
            raise CertificateError(f"{place}the solution's lower bound of state {s} is {_text(a)}, and its certificate proves {_text(proved_low)}")
        if not _at_most(proved_high, b):
            raise CertificateError(f"{place}the solution's upper bound of state {s} is {_text(b)}, and its certificate proves {_text(proved_high)}")
        if not (_at_most(a, value) and _at_most(value, b)):
            raise CertificateError(f"{place}the solution's value of state {s}, {_text(value)}, is not between its own bounds")


def _at_most(a: Any, b: Any) -> bool:
    """a <= b for floats, infinite ones too, and rationals; False where one is no number."""
    if any(isinstance(x, float) and not math.isfinite(x) for x in (a, b)):
        return _rounded(a) <= _rounded(b)
    return bool(rational(a) <= rational(b))


def _rounded(value: Any) -> float:
    """A float on the same side of the infinite ones."""
    return value if isinstance(value, float) else 0.0


def _optimal(actions: Array, mask: Array) -> None:
    for s, action in enumerate(actions.tolist()):
        if not (0 <= action < mask.shape[1] and mask[s, action]):
            raise CertificateError(f"the solution's action {action} of state {s} is not among those that its certificate proves optimal")


def _same_actions(claimed: Array, proved: Array, place: str = "") -> None:
    if not np.array_equal(claimed, proved):
        raise CertificateError(f"{place}the solution's actions are not those of the policy that its certificate is about")


def _same_mask(claimed: Array | None, proved: Array, place: str = "") -> None:
    if claimed is not None and not np.array_equal(claimed, proved):
        raise CertificateError(f"{place}the solution's set of optimal actions is not what its certificate proves")


def _text(value: Any) -> str:
    return f"{float(value):.6g}" if isinstance(value, float) else str(value) if len(str(value)) < 40 else f"{int(value.p) / int(value.q):.12g}"
