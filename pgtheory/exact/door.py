"""One door to the solvers: what `solve` and `solve_exactly` do with each kind of problem.

    MDP                                    discounted optimum (discounted.py, rational.py), or with criterion="average" the gain (average.py)
    FiniteHorizon                          backward induction (finite_horizon.py)
    Labelled, with one of its objectives   reachability or total reward (undiscounted.py)

Exact answers carry a certificate that has been checked by code that shares nothing with the solvers; `certify(problem, solution)` makes one for
answers in floats.
"""

from __future__ import annotations

from typing import Any

from mdps.errors import ModelError, nearest
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.total_reward import Labelled, Objective

CRITERIA = ("discounted", "average")


def solve(
    problem: Any, method: str = "auto", tol: float | None = None, *, objective: Any = None, criterion: str = "discounted", **options: Any
) -> Any:
    """The optimum of a problem in floats, with proved bounds.

    problem     MDP, FiniteHorizon, or Labelled
    method      discounted MDPs: "auto", "value", "gauss-seidel", "modified", "policy", "krylov", "anderson" or "linear"; else "auto"
    tol         |values - V*| <= tol in every state, in reward units, proved by the bounds: 1e-8 by default, for an objective 1e-6
    objective   Labelled models: the name of one of its objectives, or an Objective
    criterion   MDPs: "discounted" or "average"
    options     on_limit="return" instead of raising; discounted: start, limit, refine, threads, progress (see `discounted.py`); average: limit
    returns     Solution, StageSolution for a FiniteHorizon, AverageSolution for criterion="average"
    raises      ModelError: bad arguments.  NotConverged: the tolerance was not reached; `.solution` has true bounds
    """
    _check(problem, objective, criterion)
    if isinstance(problem, FiniteHorizon | Labelled) or criterion == "average":
        if method != "auto":
            raise ModelError(f"method is {method!r}; this criterion has only one, 'auto'")
        if isinstance(problem, FiniteHorizon):
            return _finite(problem, tol, options)
        if isinstance(problem, Labelled):
            return answer(problem, objective, 1e-6 if tol is None else tol, **options)
        from pgtheory.exact.average import solve_average

        return solve_average(problem, 1e-8 if tol is None else tol, **options)
    from pgtheory.exact import discounted

    return discounted.solve(problem, method, 1e-8 if tol is None else tol, **options)


def solve_exactly(problem: Any, *, objective: Any = None, criterion: str = "discounted", start: Any = None) -> Any:
    """The optimum of `problem.exact` in rationals, all optimal actions, and a certificate that has been checked.

    problem     MDP, FiniteHorizon, or Labelled
    objective   Labelled models: the name of one of its objectives, or an Objective
    criterion   MDPs: "discounted" or "average"
    start       (S,) actions to begin with (MDPs); by default those that are optimal in floats
    returns     ExactSolution; StageSolution for a FiniteHorizon; ExactAverage for criterion="average"
    raises      ModelError: bad arguments
    source      Puterman (2005), sections 4.3, 6.4, 7.2, 9.2.  Cost: one exact solve of S equations a round: hundreds of states dense, thousands where
                those that reach each other are hundreds
    """
    _check(problem, objective, criterion)
    if isinstance(problem, FiniteHorizon):
        from pgtheory.exact.finite_horizon import solve_finite_horizon

        return solve_finite_horizon(problem, exact=True)
    if isinstance(problem, Labelled):
        return answer(problem, objective, exact=True)
    if criterion == "average":
        from pgtheory.exact.average import solve_average_exactly

        return solve_average_exactly(problem, start)
    from pgtheory.exact import rational

    return rational.solve_exactly(problem, start)


def answer(model: Labelled, objective: str | Objective, tol: float = 1e-6, *, exact: bool = False, on_limit: str = "raise") -> Any:
    """The answer to one question about a labelled model: Solution, or ExactSolution.

    raises   ModelError: no such objective, or one that does not fit the model
    """
    from pgtheory.exact.undiscounted import reachability, total_reward

    asked = objective
    if isinstance(asked, str):
        if asked not in model.objectives:
            known = list(model.objectives)
            raise ModelError(f"the model has no objective {asked!r}.{nearest(asked, known) or ' It has ' + (', '.join(known) or 'none')}")
        asked = model.objectives[asked]
    if not isinstance(asked, Objective):
        raise ModelError(f"objective is {objective!r}; it must be an mdps.Objective or the name of one")
    options: dict[str, Any] = {"tol": tol, "exact": exact, "on_limit": on_limit}
    if asked.kind == "reachability":
        return reachability(model.mdp, asked.targets, asked.direction, through=asked.through, **options)
    if asked.rewards is None or asked.rewards not in model.rewards:
        raise ModelError(f"there is no reward structure {asked.rewards!r}.{nearest(str(asked.rewards), list(model.rewards))}")
    return total_reward(model.mdp, asked.targets, asked.direction, rewards=model.rewards[asked.rewards], **options)


def _finite(problem: FiniteHorizon, tol: float | None, options: dict[str, Any]) -> Any:
    from pgtheory.exact.finite_horizon import solve_finite_horizon
    from pgtheory.solution import NotConverged

    on_limit = options.pop("on_limit", "raise")
    if options:
        raise ModelError(f"backward induction takes no option {next(iter(options))!r}")
    if tol is not None and not tol > 0:
        raise ModelError(f"tol is {tol}; it must be a positive number (use solve_exactly for rationals)")
    found = solve_finite_horizon(problem)
    if tol is not None and found.error > tol and on_limit != "return":
        raise NotConverged(f"the values are known to {found.error:.1e}, not {tol:g}: floats cannot prove less. Use solve_exactly", found)
    return found


def _check(problem: Any, objective: Any, criterion: str) -> None:
    if criterion not in CRITERIA:
        raise ModelError(f"criterion is {criterion!r}; it must be 'discounted' or 'average'.{nearest(str(criterion), CRITERIA)}")
    if criterion == "average" and not isinstance(problem, MDP):
        raise ModelError(f"the average reward is defined for an mdps.MDP; this is a {type(problem).__name__}")
    if isinstance(problem, Labelled) and objective is None:
        known = ", ".join(problem.objectives)
        raise ModelError("a labelled model needs objective=..., an mdps.Objective" + (f" or the name of one: {known}" if known else ""))
    if objective is not None and not isinstance(problem, Labelled):
        raise ModelError(f"objective is for labelled models; this is {type(problem).__name__}")
