"""One application of the robust Bellman operators, in float64 with bounds or in rationals exactly.

    greedy     (T W)(s) = max over pi of min over q of sum_a pi_a (r_a + gamma q_a . W)        with a maximising policy
    respond    the same for a given policy                                                    with nature's answer

Pairs of state and action are rows, as in the choice matrix of the model.  `below` and `above` enclose the true result up to `epsilon`, the rounding
of one sweep (below is what a dual proves, above what a member of the set attains; both are the same number for sets with flat sides).

**Rounding.**  With n the longest row, W centred by c (T (W + c 1) = T W + gamma c 1), w = max|W - c| and R = max|r| (rewards after their own worst
case), u = 2^-53, kappa = 2^-46 (2u where all numbers were given exactly):

    epsilon(w) = (kappa + 4u) R + gamma w (8 (n + 16) u + (8 kappa + 4 defect) D) + |gamma^ - gamma| (w + |c|) + 4u (w + |c|)

The first part of the bracket covers sums over a row and a sort (p . v: n u w; what is moved: three roundings each, 2w in all, and the
sums of n such terms: less than 8 n u w together, exponentials and logarithms of the curved sets included), the second the step
from floats to the rationals of `mdp.exact`: a worst case moves by at most |p - p'|_1 2w when p moves (norm balls: a point of one set is at most
|p - p'| from the other), by D times the largest relative change of an entry for divergences (D = n: the largest entry, at least 1/n, takes up what is
missing in its row; D = 1 for the other sets), and by at most the relative change of the radius times 2w, because it is convex in the radius.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mdps.ambiguity.balls import exact_numbers, float_numbers
from mdps.errors import ModelError
from mdps.robust import RobustMDP
from pgtheory.exact.bounds import KAPPA, SECOND_ORDER, TINY, UNIT, exact_discount
from pgtheory.robust.blocks import CURVED, FLAT, best_block, best_curved, worst_block, worst_curved
from pgtheory.robust.hulls import best_mixture, worst_mixture
from pgtheory.robust.worst_case import worst_finite, worst_intervals, worst_rows

Array = np.ndarray


@dataclass(frozen=True)
class Step:
    """below, above (S,); weights (pairs,): the policy; kernel (pairs, S): nature's answer, None where only values were asked for; paid (pairs,)."""

    below: Array
    above: Array
    weights: Array
    kernel: Array | None
    paid: Array


class Operator:
    """The robust Bellman operators of one model.

    exact    in the rationals of `nominal.exact`, for sets with flat sides
    raises   ModelError: a set that is no product over states; a set without rational worst cases with exact=True
    """

    def __init__(self, robust: RobustMDP, exact: bool = False) -> None:
        self.robust, self.exact = robust, exact
        self.kernels, self.prizes = robust.transition_set, robust.reward_set
        if robust.rectangular == "none":
            raise ModelError(
                "a set of whole kernels (rectangular='none') has no Bellman equation, and planning against it is NP-hard; "
                "evaluate_static finds the worst kernel for a policy, and rectangular='s' or 'sa' gives a lower bound"
            )
        for part in (self.kernels, self.prizes):
            if exact and part is not None and not getattr(part, "polyhedral", False):
                raise ModelError(
                    f"{type(part).__name__} has curved sides: its worst case is no rational number; solve in float64, which proves bounds too"
                )
        if self.kernels is not None and self.kernels.rectangular == "s" and self.kernels.name not in (*FLAT, *CURVED, "finite"):
            raise ModelError(f"{type(self.kernels).__name__} over a whole state is the product of its rows; use rectangular='sa'")
        nominal = robust.nominal.exact if exact else robust.nominal.float
        self.first, self.mask = nominal.first_pair, nominal.action_mask
        self.discount = nominal.discount
        self.nominal_rewards = nominal.pair_rewards
        self.state = np.repeat(np.arange(nominal.num_states), np.diff(self.first))
        self._nominal = nominal

    @cached_property
    def _full(self) -> bool:
        """Whether every state has all actions."""
        return bool(self.mask.all())

    @cached_property
    def rows(self) -> Array:
        """(pairs, S) dense."""
        choices = self._nominal.choices
        return choices if isinstance(choices, np.ndarray) else choices.toarray()

    @cached_property
    def radius(self) -> Array:
        """Per pair, or per state for an s-rectangular set."""
        assert self.kernels is not None
        numbers = self.kernels.radii(self.robust.nominal, self.exact)  # type: ignore[attr-defined]
        return numbers[self.mask] if self.kernels.rectangular == "sa" else numbers

    @cached_property
    def rewards(self) -> Array:
        """(pairs,) after the worst case of a reward box."""
        if self.prizes is None or self.prizes.name != "reward-box":
            return self.nominal_rewards
        return self.nominal_rewards - self.prizes.radii(self.robust.nominal, self.exact)[self.mask]  # type: ignore[attr-defined]

    @cached_property
    def ball(self) -> Array | None:
        """(S,) radii of a reward ball."""
        if self.prizes is None or self.prizes.name != "reward-ball":
            return None
        return self.prizes.radii(self.robust.nominal)  # type: ignore[attr-defined]

    @cached_property
    def arrivals(self) -> Array | None:
        """(pairs, S) rewards paid on arrival, or None."""
        paid = self.robust.transition_rewards
        if paid is None:
            return None
        return (exact_numbers(paid) if self.exact else float_numbers(paid))[self.mask]

    @property
    def by_pairs(self) -> bool:
        """Whether nature answers each pair on its own."""
        return self.kernels is None or self.kernels.rectangular == "sa"

    @cached_property
    def plain_l1(self) -> bool:
        """Whether the compiled L1 sweeps apply."""
        name = "" if self.kernels is None or self.exact else self.kernels.name
        return name == "tv" or (name == "l1" and getattr(self.kernels, "weights", None) is None)

    @cached_property
    def mass(self) -> Array:
        """What may be moved: half the L1 radius."""
        assert self.kernels is not None
        return self.radius * (0.5 if self.kernels.name == "l1" else 1.0)

    # Nature's answer to one pair

    def worst(self, W: Array, pairs: Any = slice(None)) -> tuple[Array, Array]:
        """(sigma, kernel) of some pairs, for an (s, a)-rectangular set."""
        ambiguity = self.kernels
        if ambiguity is None:
            return self._expect(W)[pairs], self.rows[pairs]
        if ambiguity.name == "finite":
            return worst_finite(ambiguity.matrices(self.exact)[:, self.mask][:, pairs], W)  # type: ignore[attr-defined]
        if ambiguity.name == "intervals":
            low, high = ambiguity.ends(self.exact)  # type: ignore[attr-defined]
            return worst_intervals(low[self.mask][pairs], high[self.mask][pairs], W)
        return worst_rows(ambiguity, self.rows[pairs], W, self.radius[pairs])

    def _expect(self, W: Array) -> Array:
        return (
            self._nominal.choices @ W if self._nominal.is_sparse and not self.exact else (self.rows * W).sum(axis=1) if self.exact else self.rows @ W
        )

    @cached_property
    def _gated(self) -> tuple[Array, ...]:
        """What the compiled sweeps read besides the values: mass, rewards, then (first pair, rows), or (indptr, indices, data) of compressed rows."""
        from pgtheory.compiled import gate

        choices = self._nominal.choices
        if not self.by_pairs or not self._nominal.is_sparse:
            return (*gate(self.mass, self.rewards), *gate(self.first, dtype=np.int64), *gate(self.rows))
        return (*gate(self.mass, self.rewards), *gate(choices.indptr, choices.indices, dtype=np.int64), *gate(choices.data))

    def _compiled_sweep(self, W: Array) -> tuple[Array, Array | None, Array | None]:
        """r + gamma sigma of every pair; of dense rows also the largest of every state and the pair that has it."""
        from pgtheory.compiled import gate
        from pgtheory.robust.sweeps import l1_dense, l1_sparse

        (values,), nominal = gate(W), self.kernels.support == "nominal"  # type: ignore[union-attr]
        mass, rewards = self._gated[:2]
        out = np.empty(mass.size)
        if self._nominal.is_sparse:
            indptr, indices, data = self._gated[2:]
            l1_sparse(indptr, indices, data, values, float(values.min()), mass, nominal, np.empty(int(np.diff(indptr).max())), out)
            return rewards + self.discount * out, None, None
        first, rows = self._gated[2:]
        (order,) = gate(np.argsort(-values, kind="stable"), dtype=np.int64)
        best, chosen = np.empty(values.size), np.empty(values.size, dtype=np.int64)
        l1_dense(first, rows, rewards, float(self.discount), values, order, mass, nominal, out, best, chosen)
        return out, best, chosen

    # The operators

    def answers(self, W: Array, kernel: bool = True) -> tuple[Array, Array, Array | None, Array]:
        """(below, above, kernel, paid) for every pair of an (s, a)-rectangular set: bounds on min_q (r + gamma q . W), nature's rows and rewards."""
        if self.arrivals is not None:
            worth = self.arrivals + self.discount * W
            base = self.rewards - (self.rows * self.arrivals).sum(axis=1)
            sigma, q = self.worst(worth)
            low = base + sigma
            return low, low if self.exact else base + (q * worth).sum(axis=1), q, base + (q * self.arrivals).sum(axis=1)
        if self.plain_l1 and not kernel:
            low = self._compiled_sweep(W)[0]
            return low, low, None, self.rewards
        below, q = self.worst(W)
        low = self.rewards + self.discount * below
        if self.kernels is not None and self.kernels.name == "entropic":  # nature pays KL / beta for its answer
            return low, low, q, self.rewards + self.discount * (below - (q * W).sum(axis=1))
        return low, low if self.exact else self.rewards + self.discount * (q * W).sum(axis=1), q, self.rewards

    def greedy(self, W: Array, kernel: bool = True) -> Step:
        """T W, a maximising policy and the worst kernel against it."""
        return self._centred(lambda shifted: self._greedy(shifted, kernel), W)

    @cached_property
    def repeats(self) -> bool:
        """Whether `repeated` has compiled code: L1 sets of a dense model, without rewards that nature moves."""
        sparse = self.by_pairs and self._nominal.is_sparse
        return self.plain_l1 and self.ball is None and self.arrivals is None and not sparse

    def repeated(self, W: Array, count: int) -> Array:
        """T^count W in one compiled call, without bounds: what `greedy` says of the result makes it sound.  Only where `repeats`."""
        from pgtheory.robust.sweeps import l1_repeated

        centre, (mass, rewards, first, rows) = _middle(W), self._gated
        values = np.array(W - centre, dtype=np.float64)
        order = np.argsort(-values, kind="stable").astype(np.int64)
        discount, nominal = float(self.discount), self.kernels.support == "nominal"  # type: ignore[union-attr]
        l1_repeated(first, rows, rewards, discount, values, order, mass, nominal, self.by_pairs, count)
        return values + discount**count * centre

    def respond(self, W: Array, weights: Array) -> Step:
        """T^pi W for the policy `weights` (pairs,), and nature's answer; rows that are never played stay nominal in a block."""
        return self._centred(lambda shifted: self._respond(shifted, weights), W)

    def _centred(self, function: Callable[[Array], Step], W: Array) -> Step:
        """T (W - c 1) + gamma c 1 = T W: values around 0 keep their digits."""
        if self.exact:
            return function(W)
        centre = _middle(W)
        step, shift = function(W - centre), float(self.discount) * centre
        below = step.below + shift
        return Step(below, below if step.above is step.below else step.above + shift, step.weights, step.kernel, step.paid)

    def _greedy(self, W: Array, kernel: bool) -> Step:
        if not self.by_pairs:
            return self._greedy_blocks(W, kernel)
        if self.plain_l1 and not kernel and self.ball is None and self.arrivals is None and not self._nominal.is_sparse:
            _, top, at = self._compiled_sweep(W)
            weights = np.zeros(self.state.size)
            weights[at] = 1.0
            assert top is not None
            return Step(top, top, weights, None, self.rewards)
        low, high, q, paid = self.answers(W, kernel)
        if self.ball is not None:
            return self._against_a_reward_ball(low, high, q, paid)
        starts = self.first[:-1]
        if self._full:
            by_state = low.reshape(self.mask.shape)
            chosen = starts + by_state.argmax(axis=1)
            best, most = low[chosen], high.reshape(self.mask.shape).max(axis=1) if high is not low else None
        else:
            chosen = np.array([part.start + int(low[part].argmax()) for part in self._parts()])
            best, most = low[chosen], np.maximum.reduceat(high, starts)
        weights = self.rewards * 0
        weights[chosen] = weights[chosen] + 1
        return Step(best, best if most is None else most, weights, q, paid)

    def _respond(self, W: Array, weights: Array) -> Step:
        starts = self.first[:-1]
        if self.by_pairs:
            low, high, q, paid = self.answers(W)
            if self.ball is not None:
                taken = (self.ball / np.sqrt(np.add.reduceat(weights * weights, starts)))[self.state] * weights
                low, high, paid = low - taken, high - taken, paid - taken
            return Step(np.add.reduceat(weights * low, starts), np.add.reduceat(weights * high, starts), weights, q, paid)
        q = self.rows.copy()
        low = np.empty(starts.size, dtype=q.dtype)
        if self.kernels.name in CURVED and self._full:  # type: ignore[union-attr]
            shape = self.mask.shape
            low, blocks = worst_curved(self.kernels, self.rows.reshape(*shape, -1), W, weights.reshape(shape), self.radius)
            q = blocks.reshape(q.shape)
        else:
            for s, part in enumerate(self._parts()):
                low[s], q[part] = self._respond_block(s, part, W, weights[part])
        base = np.add.reduceat(weights * self.rewards, starts)
        high = base + self.discount * np.add.reduceat(weights * (q * W).sum(axis=1), starts)
        return Step(base + self.discount * low, high if not self.exact else base + self.discount * low, weights, q, self.rewards)

    def _parts(self) -> list[slice]:
        return [slice(int(b), int(e)) for b, e in zip(self.first[:-1], self.first[1:], strict=True)]

    def _respond_block(self, s: int, part: slice, W: Array, weights: Array) -> tuple[Any, Array]:
        if self.kernels.name == "finite":  # type: ignore[union-attr]
            blocks = self.kernels.matrices(self.exact)[:, self.mask][:, part]  # type: ignore[union-attr]
            return worst_mixture(blocks, W, weights)
        return worst_block(self.kernels, self.rows[part], W, weights, self.radius[s])

    def _greedy_blocks(self, W: Array, kernel: bool) -> Step:
        if self.plain_l1 and not kernel:
            return self._compiled_blocks(W)
        if self.kernels.name in CURVED and self._full:  # type: ignore[union-attr]
            shape = self.mask.shape
            found = best_curved(self.kernels, self.rows.reshape(*shape, -1), W, self.rewards.reshape(shape), float(self.discount), self.radius)
            return Step(found[0], found[1], found[2].reshape(-1), found[3].reshape(self.rows.shape), self.rewards)
        weights, q = self.rewards * 0, self.rows.copy()
        low, high = np.empty(self.first.size - 1, dtype=q.dtype), np.empty(self.first.size - 1, dtype=q.dtype)
        for s, part in enumerate(self._parts()):
            if self.kernels.name == "finite":  # type: ignore[union-attr]
                blocks = self.kernels.matrices(self.exact)[:, self.mask][:, part]  # type: ignore[union-attr]
                low[s], high[s], weights[part], q[part] = best_mixture(blocks, W, self.rewards[part], self.discount)
            else:
                found = best_block(self.kernels, self.rows[part], W, self.rewards[part], self.discount, self.radius[s])
                low[s], high[s], weights[part], q[part] = found
        return Step(low, high, weights, q, self.rewards)

    def _compiled_blocks(self, W: Array) -> Step:
        from pgtheory.compiled import gate
        from pgtheory.robust.sweeps import l1_blocks

        (values,), (mass, rewards, first, rows) = gate(W), self._gated
        (order,) = gate(np.argsort(-values, kind="stable"), dtype=np.int64)
        level, policy = np.empty(mass.size), np.empty(rewards.size)
        missed = l1_blocks(first, rows, rewards, float(self.discount), values, order, mass, self.kernels.support == "nominal", level, policy)  # type: ignore[union-attr]
        slack = (
            4 * missed * self.discount * (values.max() - values.min())
        )  # the level is convex in the budget, and a unit of mass lowers it by less than gamma sp(W)
        return Step(level - slack, level + slack, policy, None, self.rewards)

    def _against_a_reward_ball(self, low: Array, high: Array, q: Array | None, paid: Array) -> Step:
        """max over pi of <pi, Q> - alpha |pi|_2 is the u with |(Q - u)_+|_2 = alpha, attained by pi ~ (Q - u)_+ (min and max exchanged)."""
        assert self.ball is not None
        weights, paid = np.zeros_like(low), paid.copy()
        below, above = np.empty(self.first.size - 1), np.empty(self.first.size - 1)
        for s, part in enumerate(self._parts()):
            alpha, Q = float(self.ball[s]), low[part]
            if alpha == 0:
                weights[part.start + int(Q.argmax())] = 1.0
            else:
                excess = np.maximum(Q - water_level(Q, alpha), 0.0)
                weights[part] = excess / excess.sum()
            norm = float(np.sqrt((weights[part] ** 2).sum()))
            below[s] = weights[part] @ Q - alpha * norm
            taken = alpha * weights[part] / norm
            above[s] = (high[part] - taken * (1 - 8 * UNIT * Q.size)).max()
            paid[part] = paid[part] - taken
        return Step(below, above, weights, q, paid)

    # Rounding

    @cached_property
    def _figures(self) -> tuple[float, float, float, float]:
        """(gamma / (1 - gamma), |gamma^ - gamma|, max|r|, defect of the rows)."""
        gamma = exact_discount(self.robust.nominal)
        rounded = self.robust.nominal.float.discount
        shift = abs(float(gamma - type(gamma)(rounded))) * (1 + 2 * UNIT)
        sums = self._nominal.choices @ np.ones(self.first.size - 1)
        defect = float(np.abs(sums - 1).max())
        if self.kernels is not None and self.kernels.name == "finite":
            defect = max(defect, float(np.abs(self.kernels.matrices()[:, self.mask].sum(axis=-1) - 1).max()))  # type: ignore[attr-defined]
        largest = float(np.abs(self.nominal_rewards).max())
        if self.arrivals is not None:  # they are summed over a row with the values, so they count as values too
            largest += 2 * float(np.abs(self.arrivals).max())
        if self.prizes is not None:
            largest += float(self.prizes.radii(self.robust.nominal).max())  # type: ignore[attr-defined]
        return float(gamma / (1 - gamma)), shift, largest, defect

    @cached_property
    def _closeness(self) -> float:
        """Relative distance of the floats from the exact numbers: a rounding where these were given, kappa where they are guessed."""
        parts = [part for part in (self.kernels, self.prizes) if part is not None]
        known = self.robust.nominal.given_exactly and all(part.given_exactly for part in parts)
        paid = self.robust.transition_rewards
        return 2 * UNIT if known and (paid is None or paid.dtype == object) else KAPPA

    def epsilon(self, W: Array) -> float:
        """Largest error of one entry of a float sweep of W."""
        centre = _middle(W)
        size = float(np.abs(W - centre).max())
        _, shift, largest, defect = self._figures
        n = self.first.size - 1
        entries = n * (self.robust.num_actions if not self.by_pairs else 1)
        factor = n if self.kernels is not None and self.kernels.name in ("kl", "chi2", "entropic") else 1
        close = self._closeness
        slope = 8 * (entries + 16) * UNIT + (8 * close + 4 * defect) * factor
        constant = (close + 4 * UNIT) * largest + (slope * largest if self.arrivals is not None else 0.0)
        return (constant + float(self.discount) * slope * size + shift * (size + abs(centre)) + 4 * UNIT * (abs(centre) + size) + TINY) * SECOND_ORDER

    def enclosure(self, W: Array, step: Step) -> tuple[Array, Array]:
        """(lower, upper) around the fixed point of the monotone operator that `step` is an application of, at W."""
        ratio = self._figures[0]
        epsilon = self.epsilon(W)
        low, high = float((step.below - W).min()), float((step.above - W).max())
        own = 8 * UNIT * (1 + ratio) * (abs(low) + abs(high) + epsilon)
        lower = step.below + (ratio * (low - epsilon) - epsilon - own)
        upper = step.above + (ratio * (high + epsilon) + epsilon + own)
        return np.nextafter(lower, -np.inf), np.nextafter(upper, np.inf)

    def floor(self, W: Array) -> float:
        """Half the width that remains when nothing but rounding is left."""
        return self.epsilon(W) * (1 + self._figures[0])


def _middle(W: Array) -> float:
    return float((W.min() + W.max()) / 2)


def water_level(values: Array, alpha: float) -> float:
    """The u with |(values - u)_+|_2 = alpha > 0: a quadratic equation on the states above it, which sorting finds."""
    ordered = np.sort(values)[::-1]
    top = ordered[0]
    drop = top - ordered
    u = 0.0
    for k in range(1, values.size + 1):
        mean, square = drop[:k].mean(), (drop[:k] ** 2).sum()
        root = max(mean * mean - (square - alpha * alpha) / k, 0.0)
        u = mean + np.sqrt(root)  # sum over the k largest of (u - drop)^2 = alpha^2, u counted downwards from the top
        if k == values.size or u <= drop[k]:
            break
    return float(top - u)
