"""REINFORCE for a tabular softmax policy in torch: the code under test.  Two ways to one gradient of J = E sum_t gamma^t r_t:

expected   automatic differentiation of J = start . (I - gamma P_pi)^-1 r_pi
sampled    mean over paths of  sum_t gamma^t (G_t - V(s_t)) grad log pi(a_t | s_t),   G_t = sum_{k >= t} gamma^(k - t) r_k
"""

import torch


class Reinforce:
    def __init__(self, transitions, rewards, discount, start, horizon):
        self.transitions, self.rewards, self.start = (torch.tensor(x, dtype=torch.float64) for x in (transitions, rewards, start))
        self.discount, self.horizon = float(discount), horizon

    def values(self, policy):
        chain = torch.einsum("sa,sat->st", policy, self.transitions)
        return torch.linalg.solve(torch.eye(len(chain), dtype=torch.float64) - self.discount * chain, (policy * self.rewards).sum(1))

    def objective(self, policy):
        return self.start @ self.values(policy)

    def expected_gradient(self, logits):
        logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(self.objective(logits.softmax(1)), logits)[0]

    def rewards_to_go(self, paid):
        total, out = torch.zeros(len(paid), dtype=torch.float64), torch.empty_like(paid)
        for t in reversed(range(paid.shape[1])):
            total = paid[:, t] + self.discount * total
            out[:, t] = total
        return out

    def time_weights(self):
        return self.discount ** torch.arange(self.horizon, dtype=torch.float64)

    def baseline(self, values, states):
        return values[states[:, :-1]]

    def path_gradient(self, logits, states, actions, weights):
        """Sum over paths of weight times estimate: states (N, H + 1), actions (N, H), weights (N,)."""
        logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
        log_policy = logits.log_softmax(1)
        visited = states[:, :-1]
        values = self.values(log_policy.exp().detach())
        signal = self.time_weights() * (self.rewards_to_go(self.rewards[visited, actions]) - self.baseline(values, states))
        return torch.autograd.grad((weights[:, None] * signal * log_policy[visited, actions]).sum(), logits)[0]

    def sample(self, logits, count, generator):
        """States (N, H + 1) and actions (N, H) of `count` paths."""
        policy = torch.tensor(logits, dtype=torch.float64).softmax(1)
        states, actions = [torch.multinomial(self.start, count, replacement=True, generator=generator)], []
        for _ in range(self.horizon):
            actions.append(torch.multinomial(policy[states[-1]], 1, generator=generator)[:, 0])
            states.append(torch.multinomial(self.transitions[states[-1], actions[-1]], 1, generator=generator)[:, 0])
        return torch.stack(states, 1), torch.stack(actions, 1)

    def sampled_gradient(self, logits, count, generator):
        states, actions = self.sample(logits, count, generator)
        return self.path_gradient(logits, states, actions, torch.full((count,), 1 / count, dtype=torch.float64))
