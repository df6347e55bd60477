"""Linear TD(0) for one policy, exactly: expected updates, and the mean square error of sampled ones by a linear recursion of moments.

The state starts anew from mu with probability `restart` after every step, so that d, the stationary law, is unique; s ~ d, a ~ pi, s' next.  Features
phi (S, D), D = 1 or 2 (extra `features`), first weights theta_0 (extra `first_weights`), V_t = Phi theta_t, and

    theta <- theta + (x/F) (mean over N agents of) (r + gamma phi(s') theta - phi(s) theta) phi(s),      F = max_s |phi(s)|^2

x is the setting `stride`, N the setting `learners`, the number of steps the setting `rounds`.  The fixed point comes from its linear system; the
expected path steps through the update itself; the moments are those of every (s, a, s'), raised to a power.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float
from proofs_check.quantities.control import eigenvalues
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("stride", "x", "step size of temporal differences, in units of 1 over the largest squared feature")
define_setting("learners", "N", "number of agents that average after every step")


@dataclasses.dataclass(frozen=True)
class System:
    """What samples come from: law (B, S), chance (B, S, A, S') of a sample, rewards (B, S, A), discount (B,), features (B, S, D)."""

    law: Array
    chance: Array
    rewards: Array
    discount: Array
    features: Array

    @property
    def matrix(self) -> Array:
        """A = Phi' D (Phi - gamma P Phi): (B, D, D)."""
        moves = self.chance.sum(axis=2)
        ahead = np.einsum("bst,btj->bsj", moves, self.features)
        here = self.law[..., None] * self.features
        return np.einsum("bsi,bsj->bij", self.features, here - self.discount[:, None, None] * ahead)

    @property
    def vector(self) -> Array:
        """b = Phi' D r: (B, D)."""
        return np.einsum("bsa,bsi->bi", self.chance.sum(axis=-1) * self.rewards, self.features)

    @property
    def correlation(self) -> Array:
        """Phi' D Phi: (B, D, D)."""
        return np.einsum("bs,bsi,bsj->bij", self.law, self.features, self.features)

    @property
    def fixed_point(self) -> Array:
        """theta*, A theta* = b: (B, D)."""
        return solved(self.matrix, self.vector)


def solved(matrix: Array, right: Array) -> Array:
    """x with matrix x = right for (B, D, D), D at most 2, with a positive determinant; where it is not positive something finite instead."""
    if matrix.shape[-1] == 1:
        det, top = matrix[:, 0, 0], right
    else:
        (p, q), (r, s) = ((matrix[:, i, 0], matrix[:, i, 1]) for i in (0, 1))
        det = p * s - q * r
        top = np.stack([s * right[:, 0] - q * right[:, 1], p * right[:, 1] - r * right[:, 0]], axis=-1)
    return top / positive(det)[:, None]


def positive(values: Array) -> Array:
    """The values, 1 in place of those that are not positive; raises Undecided where a ball does not tell."""
    return np.where(np.asarray(arithmetic.less(values * 0, values), dtype=bool), values, values * 0 + 1)


def smallest_eigenvalue(matrix: Array) -> Array:
    """(B,) of symmetric (B, D, D), D at most 2."""
    return matrix[:, 0, 0] if matrix.shape[-1] == 1 else eigenvalues(matrix)[0]


def restarted(c: Context, rows: Array) -> Array:
    """(1 - e) P + e mu, rows (B, ..., S)."""
    again = c.extra("restart").reshape(-1, *[1] * (rows.ndim - 1))
    return (1 - again) * rows + again * c.mu.reshape(len(c.mu), *[1] * (rows.ndim - 2), -1)


def system_of(c: Context, transitions: Array, rewards: Array) -> System:
    """Samples of the first policy in a model with these transitions and rewards."""
    policy = c.policies[:, 0]
    moves = restarted(c, transitions)
    kept = -np.einsum("bsa,bsat->bts", policy, moves) + c.constant(np.ones((1, 1, 1), dtype=np.int64))
    states = np.arange(kept.shape[-1])
    kept[:, states, states] = kept[:, states, states] + 1  # d (I - P + 1 1') = 1', transposed: one stationary law, so not singular
    law = arithmetic.solve(kept, c.mu * 0 + 1)
    return System(law, (law[..., None] * policy)[..., None] * moves, rewards, c.discount, c.extra("features"))


def system(c: Context) -> System:
    """Samples in the instance's own model; made once."""
    if "_td_system" not in c.__dict__:
        c.__dict__["_td_system"] = system_of(c, c.transitions, c.rewards)
    return c.__dict__["_td_system"]


def largest_feature(features: Array) -> Array:
    """max_s |phi(s)|^2, (B,); 1 where all features are 0."""
    return positive(arithmetic.maximum((features * features).sum(axis=-1), axis=-1))


def _rate(c: Context) -> Array:
    """alpha = x/F, (B,)."""
    return given(c, "stride") / largest_feature(c.extra("features"))


def _square(values: Array) -> Array:
    return (values * values).sum(axis=-1)


# What the bounds are made of


@define("largest_feature", r"F", "instance")
def _largest_feature(c: Context) -> Array:
    """Largest squared length of a feature vector, F = max_s |phi(s)|^2; 1 where all are 0."""
    return per_instance(largest_feature(c.extra("features")))


@define("feature_spread", r"\omega", "instance")
def _feature_spread(c: Context) -> Array:
    """Smallest eigenvalue of the mean of phi(s) phi(s)' over the stationary law."""
    return per_instance(smallest_eigenvalue(system(c).correlation))


@define("first_error", r"\lVert\theta_0-\theta^*\rVert^2", "instance")
def _first_error(c: Context) -> Array:
    """Squared distance of the first weights from the fixed point of temporal differences."""
    return per_instance(_square(c.extra("first_weights") - system(c).fixed_point))


@define("td_noise", r"\sigma^2", "instance")
def _td_noise(c: Context) -> Array:
    """Mean squared length of a sampled update at the fixed point, E|g(theta*)|^2."""
    made = system(c)
    return per_instance((made.chance * _surprise(made) ** 2 * _square(made.features)[..., None, None]).sum(axis=(1, 2, 3)))


def _surprise(made: System) -> Array:
    """Temporal differences at the fixed point: (B, S, A, S')."""
    values = np.einsum("bsi,bi->bs", made.features, made.fixed_point)
    return (made.rewards - values[..., None])[..., None] + (made.discount[:, None] * values)[:, None, None]


# Expected updates


def _path(c: Context) -> tuple[Array, Array, Array]:
    """After each instance's own number of expected steps: theta_T - theta*, and the sums over t < T of theta_t - theta* and of |V_t - V*|_D^2."""
    made, theta, rate = system(c), c.extra("first_weights"), _rate(c)[:, None]
    policy, wanted = c.policies[:, 0], to_float(given(c, "rounds")).astype(int)
    moves, goal = np.einsum("bsa,bsat->bst", policy, restarted(c, c.transitions)), made.fixed_point
    paid, weight = (policy * c.rewards).sum(axis=-1), made.law[..., None] * made.features
    total, squares = goal * 0, c.discount * 0
    for t in range(int(wanted.max(initial=0))):
        going = wanted > t
        values = np.einsum("bsi,bi->bs", made.features, theta)
        surprise = paid + c.discount[:, None] * np.einsum("bst,bt->bs", moves, values) - values
        error = np.einsum("bsi,bi->bs", made.features, theta - goal)
        squares = np.where(going, squares + (made.law * error * error).sum(axis=-1), squares)
        total = np.where(going[:, None], total + theta - goal, total)
        theta = np.where(going[:, None], theta + rate * np.einsum("bs,bsi->bi", surprise, weight), theta)
    return theta - goal, total, squares


def _steps(c: Context) -> Array:
    return given(c, "rounds")


@define("td_last_square", r"\lVert\theta_T-\theta^*\rVert^2", "instance")
def _td_last_square(c: Context) -> Array:
    """Squared distance of the weights from the fixed point after T expected updates of temporal differences."""
    return per_instance(_square(_path(c)[0]))


@define("td_average_square", r"\lVert\bar V_T-V^*\rVert_D^2", "instance")
def _td_average_square(c: Context) -> Array:
    """Mean squared error, over the stationary law, of the values of the average of the weights before each of T expected updates."""
    made = system(c)
    values = np.einsum("bsi,bi->bs", made.features, _path(c)[1] / _steps(c)[:, None])
    return per_instance((made.law * values * values).sum(axis=-1))


@define("td_mean_value_square", r"\textstyle\frac1T\sum_{t<T}\lVert V_t-V^*\rVert_D^2", "instance")
def _td_mean_value_square(c: Context) -> Array:
    """Mean over T expected updates of the squared error of the values, over the stationary law."""
    return per_instance(_path(c)[2] / _steps(c))


# Sampled updates


def _moments(c: Context, rate: Array, agents: Array) -> Array:
    """(B, n, n), n = 1 + D + D^2: what one step makes of (1, E e, E e e'), e = theta - theta*."""
    made, like = system(c), c.discount * 0
    size, share = made.features.shape[-1], (1 / agents)[:, None, None]
    eye = c.constant(np.eye(size, dtype=np.int64))
    moves, surprise = made.chance.sum(axis=2), (made.chance * _surprise(made)).sum(axis=2)
    squares = (made.chance * _surprise(made) ** 2).sum(axis=(2, 3))
    lean = made.features[:, :, None] - made.discount[:, None, None, None] * made.features[:, None]  # phi(s) - gamma phi(s')
    kept = eye - rate[:, None, None, None, None] * made.features[:, :, None, :, None] * lean[..., None, :]  # I - alpha X of every (s, s')
    pushed = rate[:, None, None] * made.features  # (B, S, D): alpha phi(s), times the surprise
    once = np.einsum("bst,bstij->bij", moves, kept)
    push = np.einsum("bst,bsi->bi", surprise, pushed)
    whole = np.zeros((len(like), 1 + size + size**2, 1 + size + size**2), dtype=like.dtype) + like[:, None, None]
    whole[:, 0, 0] = like + 1
    whole[:, 1 : 1 + size, 0], whole[:, 1 : 1 + size, 1 : 1 + size] = push, once
    both = np.einsum("bst,bstij,bstkl->bikjl", moves, kept, kept)
    cross = np.einsum("bst,bstij,bsk->bikj", surprise, kept, pushed)
    noise = np.einsum("bs,bsi,bsk->bik", squares, pushed, pushed)

    def mixed(same: Array, apart: Array) -> Array:
        """Products of two agents' parts: of one agent with itself in a share 1/N of all pairs."""
        part = share.reshape(-1, *[1] * (same.ndim - 1))
        return part * same + (1 - part) * apart

    both = mixed(both, once[:, :, None, :, None] * once[:, None, :, None, :])
    cross = mixed(cross, once[:, :, None, :] * push[:, None, :, None])
    noise = mixed(noise, push[:, :, None] * push[:, None])
    last = slice(1 + size, None)
    whole[:, last, 0] = noise.reshape(len(like), -1)
    whole[:, last, 1 : 1 + size] = (cross + cross.swapaxes(1, 2)).reshape(len(like), size**2, size)
    whole[:, last, last] = both.reshape(len(like), size**2, size**2)
    return whole


def _start(c: Context) -> Array:
    """(1, e, e e') at theta_0: (B, n)."""
    error = c.extra("first_weights") - system(c).fixed_point
    return np.concatenate([c.discount[:, None] * 0 + 1, error, (error[..., None] * error[:, None]).reshape(len(error), -1)], axis=1)


def _after(c: Context, step: Array, start: Array | None = None) -> Array:
    """(B, n): each instance's own number of steps later, by repeated squaring."""
    state, left = _start(c) if start is None else start, to_float(given(c, "rounds")).astype(int)
    while (left > 0).any():
        state = np.where((left % 2 == 1)[:, None], np.einsum("bij,bj->bi", step, state), state)
        left = left // 2
        if (left > 0).any():
            step = np.where((left > 0)[:, None, None], step @ step, step)
    return state


def _mean_square(state: Array) -> Array:
    size = {3: 1, 7: 2}[state.shape[-1]]
    return state[:, [1 + size + k * (size + 1) for k in range(size)]].sum(axis=-1)


def _variance(state: Array) -> Array:
    size = {3: 1, 7: 2}[state.shape[-1]]
    return _mean_square(state) - _square(state[:, 1 : 1 + size])


def _short(c: Context) -> Array:
    """alpha = x omega (1 - gamma)/(8 F^2), (B,)."""
    made, F = system(c), largest_feature(c.extra("features"))
    return given(c, "stride") * smallest_eigenvalue(made.correlation) * (1 - c.discount) / (8 * F * F)


@define("td_mean_square", r"\mathbb{E}\lVert\theta_T-\theta^*\rVert^2", "instance")
def _td_mean_square(c: Context) -> Array:
    """Mean squared error of the weights after T sampled steps x/F, each the mean over N agents' samples."""
    return per_instance(_mean_square(_after(c, _moments(c, _rate(c), given(c, "learners")))))


@define("td_settled_mean_square", r"\mathbb{E}\lVert\theta_T-\theta^*\rVert^2,\ \theta_0=\theta^*", "instance")
def _td_settled_mean_square(c: Context) -> Array:
    """The same with the fixed point as the first weights."""
    start = _start(c) * 0
    start[:, 0] = start[:, 0] + 1
    return per_instance(_mean_square(_after(c, _moments(c, _rate(c), given(c, "learners")), start)))


@define("td_short_mean_square", r"\mathbb{E}\lVert\theta_T-\theta^*\rVert^2", "instance")
def _td_short_mean_square(c: Context) -> Array:
    """Mean squared error of the weights after T sampled steps x omega (1 - gamma)/(8 F^2), each the mean over N agents' samples."""
    return per_instance(_mean_square(_after(c, _moments(c, _short(c), given(c, "learners")))))


@define("td_shared_mean_square", r"\mathbb{E}\lVert\theta_T-\theta^*\rVert^2\ \text{(one sample for all)}", "instance")
def _td_shared_mean_square(c: Context) -> Array:
    """Mean squared error of the weights after T sampled steps x omega (1 - gamma)/(8 F^2) where all agents see the same sample."""
    return per_instance(_mean_square(_after(c, _moments(c, _short(c), given(c, "learners") * 0 + 1))))


@define("td_fading_mean_square", r"\mathbb{E}\lVert\theta_T-\theta^*\rVert^2", "instance")
def _td_fading_mean_square(c: Context) -> Array:
    """Mean squared error of the weights after T sampled steps 2/((1 - gamma) omega (l + t)), l = 16 F/((1 - gamma)^2 omega), of N agents each."""
    omega, near = positive(smallest_eigenvalue(system(c).correlation)), 1 - c.discount
    late = 16 * largest_feature(c.extra("features")) / (near * near * omega)
    state, wanted = _start(c), to_float(given(c, "rounds")).astype(int)
    for t in range(int(wanted.max(initial=0))):
        moved = np.einsum("bij,bj->bi", _moments(c, 2 / (near * omega * (late + t)), given(c, "learners")), state)
        state = np.where((wanted > t)[:, None], moved, state)
    return per_instance(_mean_square(state))


@define("weight_variance", r"\mathrm{Var}\,\theta_T", "instance")
def _weight_variance(c: Context) -> Array:
    """Total variance of the weights after T sampled steps x/F, each the mean over N agents' samples."""
    return per_instance(_variance(_after(c, _moments(c, _rate(c), given(c, "learners")))))


@define("weight_variance_of_one", r"\mathrm{Var}\,\theta_T\ \text{(one agent)}", "instance")
def _weight_variance_of_one(c: Context) -> Array:
    """Total variance of the weights of one agent after T sampled steps x/F."""
    return per_instance(_variance(_after(c, _moments(c, _rate(c), given(c, "learners") * 0 + 1))))


@define("td_alone_mean_square", r"\mathbb{E}\lVert\theta_T-\theta^*\rVert^2\ \text{(one agent)}", "instance")
def _td_alone_mean_square(c: Context) -> Array:
    """Mean squared error of the weights of one agent after T sampled steps x/F."""
    return per_instance(_mean_square(_after(c, _moments(c, _rate(c), given(c, "learners") * 0 + 1))))
