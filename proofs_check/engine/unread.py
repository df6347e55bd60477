"""Whether a dropped assumption is about something that the statement does not read.

A mutant that drops "full support of mu" from a statement in which mu does not occur, neither in a quantity nor in a step of the method, says what
the original says.  The same coordinates are decoded by both domains: the instances then differ in what the assumption is about and in nothing
else.  Where both sides, and the records at which the statement speaks, agree to the last bit on instances of every size, it is not read.
"""

from __future__ import annotations

import numpy as np

from proofs_check.claim import Case
from proofs_check.engine.measure import free_names, measure
from proofs_check.engine.search import generator

INSTANCES = 48
"""Of each size; of an assumption that is read, nearly every one shows it."""
STEPS = 30
"""Of a run: what a step reads moves the next one."""
SPREADS = (0.3, 1.0, 3.0)


def unread(case: Case, weaker: Case) -> bool:
    """Whether `weaker`, which is `case` on a wider domain, is seen to be the same statement (False: not seen, or it differs in more)."""
    if weaker.domain == case.domain or weaker.domain.sizes() != case.domain.sizes():
        return False
    if (weaker.statement, weaker.where, weaker.process, weaker.settings) != (case.statement, case.where, case.process, case.settings):
        return False
    if case.process is not None and not hasattr(case.process, "run_arrays"):
        return False
    spoken, moved = False, False
    for states, actions in case.domain.sizes():
        rng = generator(0, case.claim, case.name, "unread", states, actions)
        size = case.domain.length(states, actions, len(free_names(case)))
        vectors = rng.standard_normal((INSTANCES, size)) * rng.choice(SPREADS, (INSTANCES, 1))
        batches = [one.domain.decode(vectors, states, actions, one.settings) for one in (case, weaker)]
        moved = moved or any(
            not np.array_equal(getattr(batches[0], field), getattr(batches[1], field)) for field in ("rewards", "mu", "rho", "policy")
        )
        mine, theirs = (measure(one, batch, STEPS) for one, batch in zip((case, weaker), batches, strict=True))
        for field in ("left", "right", "excess"):
            if not np.array_equal(getattr(mine, field), getattr(theirs, field), equal_nan=True):
                return False
        spoken = spoken or bool((~np.isnan(mine.excess)).any())
    return spoken and moved
