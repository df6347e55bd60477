"""Learning from what comes late, and in every state of a process whose rewards change: pathwise regrets against the best fixed choice.

Delays: x_t = -(step_t) times the gradients received before t, pulled back into the unit ball; gradient s arrives after round s + delay_s.  Processes:
each stage and state runs exponential weights on the values of its actions under the rewards of each round.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, smaller, to_float
from proofs_check.quantities.path_estimators import by_stages
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.regret import of_rounds

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Gradients that come late


@dataclasses.dataclass(frozen=True)
class _Late:
    """After each round t: regret against the best point of the unit ball, what the steps cost without and with the delays, and the step."""

    regret: list[Array]
    prompt: list[Array]
    late: list[Array]
    step: list[Array]


def _delayed(c: Context) -> _Late:
    gradients, delays = c.extra("gradients"), np.floor(to_float(c.extra("delays"))).astype(int)
    size = arithmetic.norm2(gradients, axis=-1)
    step = c.extra("steps")[:, 0]
    paid = prompt = late = step * 0
    out = _Late([], [], [], [])
    for t in range(int(to_float(given(c, "rounds")).max())):
        step = smaller(step, c.extra("steps")[:, t])
        received = (np.arange(t) + delays[:, :t] < t).astype(int)
        missing = ((1 - received) * size[:, :t]).sum(axis=-1) + step * 0
        aim = -step[:, None] * ((received[..., None] * gradients[:, :t]).sum(axis=1) + gradients[:, 0] * 0)
        point = aim / larger(arithmetic.norm2(aim, axis=-1), step * 0 + 1)[:, None]
        paid = paid + (gradients[:, t] * point).sum(axis=-1)
        prompt = prompt + step * size[:, t] * size[:, t] / 2
        late = late + step * size[:, t] * missing
        best = arithmetic.norm2(gradients[:, : t + 1].sum(axis=1), axis=-1)
        for values, value in ((out.regret, paid + best), (out.prompt, prompt), (out.late, late), (out.step, step)):
            values.append(value)
    return out


@define("delayed_regret", r"R_T(\mathrm{delayed})", "instance")
def _delayed_regret(c: Context) -> Array:
    """Regret of projected dual averaging in the unit ball on gradients that come late, in loss units."""
    return per_instance(of_rounds(c, _delayed(c).regret))


@define("prompt_cost", r"\textstyle\sum_t\frac{\eta_t}2\lVert g_t\rVert^2", "instance")
def _prompt_cost(c: Context) -> Array:
    """What its steps would cost without delays, in loss units."""
    return per_instance(of_rounds(c, _delayed(c).prompt))


@define("delay_cost", r"\textstyle\sum_t\eta_t\lVert g_t\rVert\sum_{s\in M_t}\lVert g_s\rVert", "instance")
def _delay_cost(c: Context) -> Array:
    """What the gradients cost that have not arrived yet, in loss units."""
    return per_instance(of_rounds(c, _delayed(c).late))


@define("last_step_size", r"\eta_T", "instance")
def _last_step_size(c: Context) -> Array:
    """The step size of the last round, the smallest so far."""
    return per_instance(of_rounds(c, _delayed(c).step))


# Rewards that change


def _stage_backups(c: Context, rewards: Array, policies: list[Array] | None, stages: int) -> tuple[list[Array], Array]:
    """(action values (B, S, A) of every stage, value (B,) from mu) of the given policies, or of the best ones, without a discount."""
    values, out = c.mu * 0, list[Array]()
    for h in reversed(range(stages)):
        ahead = rewards + np.einsum("bsat,bt->bsa", c.transitions, values)
        values = arithmetic.maximum(ahead, axis=-1) if policies is None else (policies[h] * ahead).sum(axis=-1)
        out.insert(0, ahead)
    return out, (c.mu * values).sum(axis=-1)


def _changing(c: Context, step: Array) -> tuple[Array, Array]:
    """(regret against the best fixed policy, against the best one of each round): (B,) each."""

    def code(stages: int) -> Array:
        scores, own, each_best = [c.rewards * 0] * stages, step * 0, step * 0
        total, fixed, moving = c.rewards * 0, [], []
        for k in range(int(to_float(given(c, "rounds")).max())):
            rewards = c.extra("changing_rewards")[:, k]
            values, gained = _stage_backups(c, rewards, [arithmetic.softmax(step[:, None, None] * score) for score in scores], stages)
            scores = [score + value for score, value in zip(scores, values, strict=True)]
            total = total + rewards
            own, each_best = own + gained, each_best + _stage_backups(c, rewards, None, stages)[1]
            fixed.append(_stage_backups(c, total, None, stages)[1] - own)
            moving.append(each_best - own)
        return np.stack([of_rounds(c, fixed), of_rounds(c, moving)], axis=-1)

    both = by_stages(c, code)
    return both[:, 0], both[:, 1]


def _balanced(c: Context) -> Array:
    arms = c.discount * 0 + c.rewards.shape[2]
    return arithmetic.sqrt(8 * arithmetic.log(arms) / given(c, "rounds")) / given(c, "H")


@define("changing_regret", r"R_T", "instance")
def _changing_regret(c: Context) -> Array:
    """Regret against the best fixed policy of exponential weights in every stage and state, no discount, in reward units."""
    return per_instance(_changing(c, given(c, "eta"))[0])


@define("tuned_changing_regret", r"R_T(\eta=\sqrt{8\log A/T}/H)", "instance")
def _tuned_changing_regret(c: Context) -> Array:
    """The same with the step size that balances the bound."""
    return per_instance(_changing(c, _balanced(c))[0])


@define("tuned_moving_regret", r"R_T^{\mathrm{dyn}}(\eta=\sqrt{8\log A/T}/H)", "instance")
def _tuned_moving_regret(c: Context) -> Array:
    """The same against the best policy of each round, which may change with the rewards."""
    return per_instance(_changing(c, _balanced(c))[1])
