"""Four errors that people make in REINFORCE.  Each runs without complaint."""

from reinforce import Reinforce


class ForgottenDiscount(Reinforce):
    """Rewards to go are summed without discount."""

    def rewards_to_go(self, paid):
        return paid.flip(1).cumsum(1).flip(1)


class BaselineThatLooksAhead(Reinforce):
    """The baseline is the value of the next state, which depends on the action: it is no longer free of bias."""

    def baseline(self, values, states):
        return values[states[:, 1:]]


class ForgottenTime(Reinforce):
    """The weight gamma^t of step t is left out: this is the gradient of no objective (Nota and Thomas 2020)."""

    def time_weights(self):
        return super().time_weights() ** 0


class NormalisedVisits(Reinforce):
    """The objective is the reward per effective step, (1 - gamma) J: step sizes of theorems no longer fit."""

    def objective(self, policy):
        return (1 - self.discount) * super().objective(policy)


BUGS = (ForgottenDiscount, BaselineThatLooksAhead, ForgottenTime, NormalisedVisits)
