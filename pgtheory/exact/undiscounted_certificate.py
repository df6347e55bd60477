"""Checks claimed optima of the other criteria in exact arithmetic: reachability, total reward, average reward, finite horizon, games.

Shares no code with the solvers.  A certificate holds a lower and an upper bound (equal where the optimum is known exactly), the policy that is
worth the lower one, and where it matters a *rank*: whole numbers that fall with positive probability at every step, so that the process ends almost
surely.  Below, inner states are those from which the question is still open, and w.l.o.g. the reward is maximised.

**Reachability, max.**  U >= 0, U >= 1 on targets, U >= P_a U for every pair of an inner state: U(s_t), stopped at the end, is a nonnegative
supermartingale, so U >= P(reach) for every policy.  L <= 1 on targets, L <= 0 where all is lost, L <= P_pi L where L > 0 in inner states, and under
pi the rank falls with positive probability in each of them: the process almost surely ends in a target or where L <= 0, so L <= P_pi(reach).
Without the rank L = 1 on an end component would pass.
**Reachability, min.**  The same with the policy on the side of U (no rank needed) and every action on the side of L (each must let the rank fall).

**Total reward.**  A policy that may miss the target is worth +infinity where some reward is positive ("gains"), else -infinity ("costs").
Finite states, gains: every action stays among them and lets the rank fall, so every policy ends; U >= r_a + P_a U, L <= r_pi + P_pi L, U >= 0 >= L
on targets.  Finite states, costs: pi stays among them and its rank falls; L <= r_pi + P_pi L; U >= r_a + P_a U for pairs that stay among them (for a
policy that ends surely no other pair is of use, and E U(s_t) -> 0 or more).  Infinite states, gains: layer 0 can stay in layer 0 for ever, layer k
can fall to a lower one.  Infinite states, costs: every action falls to a lower layer with positive probability, or stays in layers that are not
higher: whoever never falls never reaches a target, and layer 0 cannot fall.

**Average reward.**  g >= P_a g for every pair, and g + h >= r_a + P_a h where the first is an equality: then g + h' >= r_a + P_a h' for every pair
with h' = h + M g, M large, and summing along a path gives T g >= E sum r - const, so g >= g*.  With pi and <= in place of >=: g <= g_pi.

**Finite horizon.**  U_t >= r_a + gamma P_a U_{t+1} for all pairs, L_t <= r_pi + gamma P_pi L_{t+1}, U_H >= terminal >= L_H.

**Game.**  L(s) <= sum_a x_a [r(s, a, b) + gamma P L] for every b: x is worth at least L against everybody; mirrored for U and y.

Source: Puterman (2005), Theorems 7.2.2, 9.1.2; Bertsekas & Tsitsiklis (1991); Funke, Jantsch & Baier (2020) for ranks; Shapley (1953).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.exact.certificate import CertificateError, Vector, checked_actions, float_text, sparse_rows

Array = np.ndarray
Rows = list[list[tuple[int, Any]]]


@dataclass(frozen=True)
class ReachabilityCertificate:
    """targets, through (S,) booleans; direction "max" or "min"; lower, upper (S,) of fmpq; actions (S,); rank (S,) whole numbers."""

    targets: Array
    through: Array
    direction: str
    lower: Array
    upper: Array
    actions: Array
    rank: Array


@dataclass(frozen=True)
class TotalRewardCertificate:
    """targets, infinite (S,) booleans; rewards (pairs,), lower, upper (S,) of fmpq (not read where infinite); actions (S,); rank (S,), which holds
    the layers of infinite states."""

    targets: Array
    rewards: Array
    direction: str
    lower: Array
    upper: Array
    infinite: Array
    actions: Array
    rank: Array


@dataclass(frozen=True)
class AverageCertificate:
    """Gains and biases (S,) of fmpq for both sides; actions (S,): the policy whose gain is at least `lower`."""

    lower: Array
    lower_bias: Array
    upper: Array
    upper_bias: Array
    actions: Array


@dataclass(frozen=True)
class HorizonCertificate:
    """lower[t], upper[t] (S_t,) of fmpq for t = 0 .. H; actions[t] (S_t,) for t < H."""

    lower: list[Array]
    upper: list[Array]
    actions: list[Array]


@dataclass(frozen=True)
class GameCertificate:
    """lower, upper (S,), first (S, A), second (S, B) mixed strategies, all of fmpq."""

    lower: Array
    upper: Array
    first: Array
    second: Array


def check(problem: Any, certificate: Any) -> Any:
    """`check_certificate` for the classes of this module."""
    checks: dict[type, Any] = {
        ReachabilityCertificate: _check_reachability,
        TotalRewardCertificate: _check_total,
        AverageCertificate: _check_average,
        HorizonCertificate: _check_horizon,
        GameCertificate: _check_game,
    }
    if type(certificate) not in checks:
        raise CertificateError(f"{type(certificate).__name__} is no certificate")
    return checks[type(certificate)](problem if isinstance(certificate, GameCertificate) else problem.exact, certificate)


def _check_reachability(model: Any, certificate: ReachabilityCertificate) -> Array:
    rows, pairs = sparse_rows(model), _pairs(model)
    goal, way = (_mask(mask, model.num_states) for mask in (certificate.targets, certificate.through))
    policy = checked_actions(certificate.actions, model)
    low, high = (Vector(v, model.num_states, "bounds") for v in (certificate.lower, certificate.upper))
    rank = [int(k) for k in certificate.rank]
    best = _direction(certificate.direction)
    for s in range(model.num_states):
        if high.values[s] < (1 if goal[s] else 0):
            raise CertificateError(f"the upper bound of state {s} is {float_text(high.values[s])}, below what a target or any state is worth")
        if low.values[s] > (1 if goal[s] else 0) and (goal[s] or not way[s]):
            raise CertificateError(f"the lower bound of state {s} is {float_text(low.values[s])}, above what it is worth")
    open_ = [way[s] and not goal[s] for s in range(model.num_states)]
    ends = [not (open_[s] and low.values[s] > 0) for s in range(model.num_states)]
    height = [0 if ends[s] else rank[s] for s in range(model.num_states)]
    zero = 0 * low.values[0]
    one = zero + 1
    mask = np.ones((model.num_states, model.num_actions), dtype=bool) & model.action_mask
    for s in (s for s in range(model.num_states) if open_[s]):
        chosen = pairs[s][policy[s]]
        for pair in pairs[s] if best else [chosen]:
            if high.gain(rows[pair], zero, one, s) > 0:
                raise CertificateError(f"the upper bound of state {s} is below what action {pair - pairs[s][0]} leads to")
        if not ends[s]:
            for pair in [chosen] if best else pairs[s]:
                if low.gain(rows[pair], zero, one, s) < 0:
                    raise CertificateError(f"the lower bound of state {s} is above what action {pair - pairs[s][0]} leads to")
                _check_fall(rows[pair], height, s, pair - pairs[s][0])
        side, limit = (high, low) if best else (low, high)
        for pair in pairs[s]:
            ahead = side.ahead(rows[pair], zero, one)
            mask[s, pair - pairs[s][0]] = ahead >= limit.values[s] if best else ahead <= limit.values[s]
    return mask


def _check_total(model: Any, certificate: TotalRewardCertificate) -> Array:
    rows, pairs = sparse_rows(model), _pairs(model)
    goal, infinite = (_mask(mask, model.num_states) for mask in (certificate.targets, certificate.infinite))
    policy = checked_actions(certificate.actions, model)
    maximise = _direction(certificate.direction)
    given = list(certificate.rewards)
    if len(given) != len(rows):
        raise CertificateError(f"the certificate has {len(given)} rewards for {len(rows)} pairs")
    paid = given if maximise else [-r for r in given]
    sides = (certificate.lower, certificate.upper) if maximise else (_negative(certificate.upper), _negative(certificate.lower))
    zero = 0 * paid[0]
    one = zero + 1
    low, high = (Vector([zero if infinite[s] else v for s, v in enumerate(side)], model.num_states, "bounds") for side in sides)
    rank = [0 if goal[s] else int(certificate.rank[s]) for s in range(model.num_states)]
    counted = [paid[k] for s in range(model.num_states) if not goal[s] for k in pairs[s]]
    gains = any(r > 0 for r in counted)
    if gains and any(r < 0 for r in counted) and any(infinite):
        raise CertificateError("rewards have both signs, so that infinite values are not defined")
    mask = np.ones((model.num_states, model.num_actions), dtype=bool) & model.action_mask
    for s in range(model.num_states):
        if goal[s]:
            if infinite[s] or not low.values[s] <= 0 <= high.values[s]:
                raise CertificateError(f"state {s} is a target; its value is 0")
        elif infinite[s]:
            _check_infinite(rows, pairs[s], s, infinite, rank, gains)
            mask[s, : len(pairs[s])] = [not gains or any(infinite[j] for j, _ in rows[k]) for k in pairs[s]]
        else:
            inside = {k: all(not infinite[j] for j, _ in rows[k]) for k in pairs[s]}
            chosen = pairs[s][policy[s]]
            if not inside[chosen] or (gains and not all(inside.values())):
                raise CertificateError(f"an action of state {s} leads to a state of infinite value, so its own is infinite or the policy is wrong")
            for pair in (k for k in pairs[s] if inside[k]):
                action = pair - pairs[s][0]
                if high.gain(rows[pair], paid[pair], one, s) > 0:
                    raise CertificateError(f"the upper bound of state {s} is below what action {action} brings")
                mask[s, action] = high.ahead(rows[pair], paid[pair], one) >= low.values[s]
                if gains or pair == chosen:
                    _check_fall(rows[pair], rank, s, action)
            mask[s, [k - pairs[s][0] for k in pairs[s] if not inside[k]]] = False
            if low.gain(rows[chosen], paid[chosen], one, s) < 0:
                raise CertificateError(f"the lower bound of state {s} is above what action {policy[s]} brings")
    return mask


def _check_infinite(rows: Rows, pairs: range, s: int, infinite: list[bool], rank: list[int], gains: bool) -> None:
    """Gains: some action keeps to layer 0 or may fall.  Costs: every action may fall, or keeps to layers that are not higher."""

    def falls(pair: int) -> bool:
        return any(infinite[j] and rank[j] < rank[s] for j, _ in rows[pair])

    def keeps(pair: int) -> bool:
        return all(infinite[j] and rank[j] <= rank[s] for j, _ in rows[pair])

    if gains and not any(falls(k) if rank[s] > 0 else keeps(k) for k in pairs):
        raise CertificateError(f"state {s} is said to be infinite, but no action keeps away from the target")
    if not gains and not all(falls(k) or keeps(k) for k in pairs):
        raise CertificateError(f"state {s} is said to be infinite, but one of its actions may lead to the target")
    if rank[s] < 0:
        raise CertificateError(f"the layer of state {s} is negative")


def _check_average(model: Any, certificate: AverageCertificate) -> Array:
    rows, pairs, paid = sparse_rows(model), _pairs(model), model.pair_rewards.tolist()
    policy = checked_actions(certificate.actions, model)
    exact = certificate.lower is certificate.upper and certificate.lower_bias is certificate.upper_bias
    low, low_bias, high, high_bias = (
        Vector(v, model.num_states, "gains or biases") for v in (certificate.lower, certificate.lower_bias, certificate.upper, certificate.upper_bias)
    )
    zero = 0 * model.discount
    one = zero + 1
    mask = np.ones((model.num_states, model.num_actions), dtype=bool) & model.action_mask
    for s in range(model.num_states):
        for pair in pairs[s]:
            action = pair - pairs[s][0]
            move = high.gain(rows[pair], zero, one, s)
            if move > 0:
                raise CertificateError(f"the upper gain of state {s} is below that of where action {action} leads")
            gain = high_bias.gain(rows[pair], paid[pair] - high.values[s], one, s) if move == 0 else -1
            if gain > 0:
                raise CertificateError(f"gain and bias of state {s} are below what action {action} brings")
            mask[s, action] = gain == 0 if exact else high.ahead(rows[pair], zero, one) >= low.values[s]
        chosen = pairs[s][policy[s]]
        move = low.gain(rows[chosen], zero, one, s)
        if move < 0:
            raise CertificateError(f"the lower gain of state {s} is above that of where action {policy[s]} leads")
        if move == 0 and low_bias.gain(rows[chosen], paid[chosen] - low.values[s], one, s) < 0:
            raise CertificateError(f"gain and bias of state {s} are above what action {policy[s]} brings")
    return mask


def _check_horizon(problem: Any, certificate: HorizonCertificate) -> list[Array]:
    H, gamma = problem.horizon, problem.discount
    if not len(certificate.lower) == len(certificate.upper) == H + 1 or len(certificate.actions) != H:
        raise CertificateError(f"the certificate has {len(certificate.actions)} steps, the problem {H}")
    sizes = [stage.num_states for stage in problem.stages] + [problem.terminal.size]
    lows, highs = ([Vector(v, n, "bounds of a step") for v, n in zip(side, sizes, strict=True)] for side in (certificate.lower, certificate.upper))
    for s, value in enumerate(problem.terminal.tolist()):
        if not lows[H].values[s] <= value <= highs[H].values[s]:
            raise CertificateError(f"the bounds after the last step do not hold the terminal value of state {s}")
    masks = []
    for t, stage in enumerate(problem.stages):
        rows, pairs, paid = sparse_rows(stage), _pairs(stage), stage.pair_rewards.tolist()
        policy = checked_actions(certificate.actions[t], stage)
        mask = np.zeros((stage.num_states, stage.num_actions), dtype=bool)
        for s in range(stage.num_states):
            for pair in pairs[s]:
                ahead = highs[t + 1].ahead(rows[pair], paid[pair], gamma)
                if ahead > highs[t].values[s]:
                    raise CertificateError(f"step {t}: the upper bound of state {s} is below what action {pair - pairs[s][0]} brings")
                mask[s, pair - pairs[s][0]] = ahead >= lows[t].values[s]
            chosen = pairs[s][policy[s]]
            if lows[t + 1].ahead(rows[chosen], paid[chosen], gamma) < lows[t].values[s]:
                raise CertificateError(f"step {t}: the lower bound of state {s} is above what action {policy[s]} brings")
        masks.append(mask)
    return masks


def _check_game(game: Any, certificate: GameCertificate) -> None:
    """game: (transitions (S, A, B, S'), rewards (S, A, B), discount) of fmpq."""
    transitions, rewards, gamma = game
    states, first, second, _ = transitions.shape
    if np.any(transitions < 0) or any(total != 1 for total in transitions.sum(axis=3).reshape(-1)) or not 0 <= gamma < 1:
        raise CertificateError("the game's transitions are no distributions, or its discount is not in [0, 1)")
    for table, size, who in ((certificate.first, first, "first"), (certificate.second, second, "second")):
        if np.shape(table) != (states, size) or np.any(table < 0) or any(total != 1 for total in table.sum(axis=1)):
            raise CertificateError(f"the strategy of the {who} player is no distribution in some state")
    for sign, bound, mix, axis in ((1, certificate.lower, certificate.first, 0), (-1, certificate.upper, certificate.second, 1)):
        games = rewards + gamma * (transitions @ np.asarray(bound, dtype=object))
        for s in range(states):
            worst = mix[s] @ games[s] if axis == 0 else games[s] @ mix[s]
            if any(sign * (value - bound[s]) < 0 for value in worst.tolist()):
                raise CertificateError(f"the {'lower' if sign > 0 else 'upper'} bound of state {s} is not held by the strategy")


def _check_fall(row: list[tuple[int, Any]], rank: list[int], s: int, action: int) -> None:
    if rank[s] < 1 or not any(rank[j] < rank[s] for j, _ in row):
        raise CertificateError(f"action {action} of state {s} does not let the rank fall: the process need not end")


def _pairs(model: Any) -> list[range]:
    first = [int(k) for k in model.first_pair]
    return [range(b, e) for b, e in itertools.pairwise(first)]


def _mask(given: Any, states: int) -> list[bool]:
    mask = [bool(x) for x in given]
    if len(mask) != states:
        raise CertificateError(f"the certificate names {len(mask)} states, the model has {states}")
    return mask


def _direction(direction: str) -> bool:
    if direction not in ("max", "min"):
        raise CertificateError(f"direction is {direction!r}; it must be 'max' or 'min'")
    return direction == "max"


def _negative(values: Any) -> list[Any]:
    return [-v for v in values]
