"""The Hessian of V(mu) in the logits of a softmax policy, exactly, and rigorous bounds for its spectral norm.

With M = (I - gamma P_pi)^-1, w = mu' M and g(s,a) = w(s) pi(a|s) A(s,a), differentiating once more in theta(x,b):

    dpi(a|s)  = 1[s = x] pi(a|x) (1[a = b] - pi(b|x))
    dV(s)     = M(s,x) g_b,            g_b = pi(b|x) A(x,b)
    dw(s)     = gamma w(x) sum_a dpi(a|x) (P(x,a,.) M)(s) = gamma w(x) pi(b|x) [(P(x,b,.) - P_pi(x,.)) M](s)
    dA(s,a)   = gamma P(s,a,.) dV - dV(s)
    H         = dw(s) pi A + w(s) dpi A + w(s) pi dA.

All of it is rational in pi.  The spectral norm of the symmetric H is enclosed as follows: with approximate eigenvectors Q (float64) and
E = Q'Q - I, norm(H) <= norm_inf(Q' H Q) / (1 - norm_inf(E)); and |v'Hv| / v'v <= norm(H) for the leading column v of Q.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def softmax_hessian(c: Context) -> Array:
    """(B, R, S*A, S*A)."""
    pi, adv, discounted = c.policies[:, c.now], c.advantages[:, c.now], c.discounted[:, c.now]
    batch, records, states, actions = pi.shape
    identity = np.broadcast_to(c.constant(np.eye(states, dtype=np.int64)), discounted.shape)
    resolvent = np.stack([arithmetic.solve(discounted, identity[..., k]) for k in range(states)], axis=-1)  # M(s, x)
    weights = np.einsum("ns,nrsx->nrx", c.mu, resolvent)
    gamma = c.discount[:, None, None, None, None]
    gains = pi * adv  # g_b at (x, b)
    dv = resolvent[..., None] * gains[:, :, None]  # (B,R,s,x,b)
    jumps = c.transitions[:, None] - c.chain[:, c.now][:, :, :, None]  # P(x,b,.) - P_pi(x,.)
    reach = np.einsum("nrxbu,nrus->nrxbs", jumps, resolvent)
    dw = gamma * (weights[..., None] * pi)[..., None] * reach  # (B,R,x,b,s)
    ahead = gamma[..., None] * np.einsum("nsau,nruxb->nrsaxb", c.transitions, dv)
    da = ahead - dv[:, :, :, None]
    eye_s, eye_a = c.constant(np.eye(states, dtype=np.int64)), c.constant(np.eye(actions, dtype=np.int64))
    dpi = pi[..., None] * (eye_a - pi[..., None, :])  # (B,R,s,a,b)
    hessian = np.einsum("nrxbs,nrsa->nrsaxb", dw, gains)
    hessian = hessian + np.einsum("nrs,nrsab,nrsa,sx->nrsaxb", weights, dpi, adv, eye_s)
    hessian = hessian + (weights[..., None] * pi)[..., None, None] * da
    return hessian.reshape(batch, records, states * actions, states * actions)


def spectral_norm(matrices: Array, kind: str) -> Array:
    """Spectral norm of symmetric matrices (..., n, n): float64, or a ball that encloses it."""
    if kind == "float":
        return np.abs(np.linalg.eigvalsh(matrices)).max(axis=-1)
    if kind == "rational":
        raise TypeError("a spectral norm is no rational number; use balls")
    out = np.empty(matrices.shape[:-2], dtype=object)
    for index in np.ndindex(out.shape):
        out[index] = _enclosed_norm(matrices[index])
    return out


def _enclosed_norm(matrix: Array) -> object:
    from flint import arb, arb_mat

    near = to_float(matrix)
    eigenvalues, vectors = np.linalg.eigh((near + near.T) / 2)
    size = len(near)
    q = arb_mat(size, size, [arb(float(x)) for x in vectors.ravel()])
    h = arb_mat(size, size, list(matrix.ravel()))
    turned, gram = q.transpose() * h * q, q.transpose() * q

    def row_norm(m: arb_mat, minus_identity: bool = False) -> arb:
        largest = arb(0)
        for i in range(size):
            total = arb(0)
            for j in range(size):
                total += abs(m[i, j] - (1 if minus_identity and i == j else 0))
            largest = largest.max(total)
        return largest

    upper = row_norm(turned) / (1 - row_norm(gram, minus_identity=True))
    k = int(np.abs(eigenvalues).argmax())
    lower = abs(turned[k, k]) / gram[k, k]
    return lower.union(upper)
