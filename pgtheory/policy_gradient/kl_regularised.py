"""Softmax policy gradient with a divergence penalty: gradient ascent on V(start) - tau E sum_t gamma^t KL(pi(.|s_t) || reference(.|s_t)).

    theta_+ = theta + eta d pi A_tau,      with the rewards r - tau log(pi / reference) in the place of r

This is entropy regularisation of the rewards r + tau log(reference); with the uniform reference it is `EntropyPG`, and V_tau less a constant.
The fixed point is pi proportional to reference exp(Q_tau / tau).  The reference must be positive wherever the policy is: everywhere, for softmax.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational_array, to_float
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import advantages, log_softmax, policy_values_and_visits, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.method import Setting

Array = np.ndarray


@kernel
def _step(logits, P, r, gamma, mu, step_size, temperature, log_reference):
    """The compiled form of `RegularisedPG.plain_step`."""
    policy = kernels.softmax(logits)
    soft_rewards = r - temperature * (kernels.log_softmax(logits) - log_reference)
    values, visits = kernels.policy_values_and_visits(policy, P, soft_rewards, gamma, mu)
    return logits + step_size * visits.reshape(-1, 1) * policy * kernels.advantages(P, soft_rewards, gamma, values)


@kernel
def _loop(transitions, rewards, discount, start, initial, times, watch, records, minima, step_size, temperature, reference):
    for b in range(initial.shape[0]):
        P, r, gamma, mu, eta, tau = transitions[b], rewards[b], discount[b], start[b], step_size[b], temperature[b]
        logits, t, log_reference = initial[b].copy(), 0, np.log(reference[b])
        lowest = kernels.softmax(logits)
        for k in range(times.size):
            while t < times[k]:
                logits = _step(logits, P, r, gamma, mu, eta, tau, log_reference)
                t += 1
                if watch:
                    keep_minimum(lowest, kernels.softmax(logits))
            keep(records[b, k], logits)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True, eq=False)
class RegularisedPG(Batched):
    """Softmax policy gradient with the penalty tau KL(pi || reference).  reference is a positive policy (S, A), or "uniform"."""

    step_size: Setting
    temperature: Setting
    reference: Any = "uniform"
    name = "kl-pg"
    parameters = "logits"
    _loop = staticmethod(_loop)

    def settings(self, mdp: MDP) -> tuple[Any, ...]:
        """The two numbers, and the reference in the arithmetic of the model; raises ModelError where it is no positive policy of it."""
        from pgtheory.exact.evaluation import check_policy
        from pgtheory.policy_gradient.method import resolved

        reference = np.asarray(self.reference)
        if isinstance(self.reference, str):
            if self.reference != "uniform":
                raise ModelError(f"reference is {self.reference!r}; give a positive policy (S, A) or 'uniform'")
            reference = rational_array([[f"1/{mdp.num_actions}"] * mdp.num_actions] * mdp.num_states)
        check_policy(mdp.float, to_float(rational_array(reference)) if reference.dtype == object else reference)
        if (reference <= 0).any():
            s, a = np.argwhere(reference <= 0)[0]
            raise ModelError(f"the reference gives action {a} of state {s} probability {reference[s, a]}; log 0 has no penalty that is finite")
        numbers = tuple(resolved(name, getattr(self, name), mdp) for name in ("step_size", "temperature"))
        return (*numbers, rational_array(reference) if mdp.is_exact else to_float(rational_array(reference)))

    @staticmethod
    def plain_step(  # type: ignore[override]
        logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, temperature: Any, reference: Array
    ) -> Array:
        """theta + eta d pi A_tau; leading dimensions as in `batched`."""
        policy = softmax(logits)
        known = arithmetic.balls(reference) if arithmetic.kind(logits) == "ball" else reference
        soft_rewards = rewards - temperature * (log_softmax(logits) - arithmetic.log(known))
        values, visits = policy_values_and_visits(policy, transitions, soft_rewards, discount, start)
        return logits + step_size * visits[..., None] * policy * advantages(transitions, soft_rewards, discount, values)
