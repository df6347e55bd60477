"""A run made by hand, with one of everything that a report must show: each verdict, curves, controls, notes, odd texts."""

from __future__ import annotations

from proofs_check.verdict import ClaimVerdict, FormVerdict, Run

SOURCE = {"key": "agarwal2021theory", "where": "Theorem 5.3", "version": "arXiv:1908.00261v5", "text": "Agarwal, Kakade, Lee & Mahajan (2021)"}
EXACT = {
    "states": 2,
    "actions": 2,
    "transitions": [[["1/2", "1/2"], ["0", "1"]], [["0", "1"], ["1", "0"]]],
    "rewards": [["1", "0"], ["0", "1/3"]],
    "discount": "9/10",
    "mu": ["1/2", "1/2"],
    "rho": ["1", "0"],
    "policy": [["1/2", "1/2"], ["1/2", "1/2"]],
    "settings": {"eta": "100"},
}
WORST = EXACT | {"discount": 0.93, "rewards": [[0.25, 1.0], [3.0e-7, 0.5]], "t": 12, "measured": 0.43, "bound": 1.0, "name": "two states <&>"}
SURVIVED = "the bound times 90 survived the same search"
LARGE = {"states": 64, "actions": 4, "transitions": [], "rewards": [], "discount": 0.99, "settings": {"eta": 0.1}}


def counterexample(claim, form, statement):
    return {
        "schema": "pgtheory-counterexample-1", "claim": claim, "form": form, "statement": statement, "where": [], "instance": EXACT,
        "process": {"name": "natural-pg", "fields": {"step_size": "eta"}}, "t": 2, "left": "0.310000", "right": "0.00346574", "ratio": 89.4,
        "arithmetic": "balls", "bits": 128, "version": "0.1.0",
    }  # fmt: skip


def curve(power=1.0, factor=3.0, count=60):
    times = sorted({round(10 ** (4 * k / count)) for k in range(count + 1)})
    return {"t": times, "measured": [1 / t**power for t in times], "bound": [factor / t for t in times], "label": "V^*"}


def form(claim, verdict, kind="statement", name="main", statement="gap(rho, t) <= log(A)/(eta*t) + 1/((1-gamma)**2*t)", **more):
    refuted = counterexample(claim, name, statement) if verdict == "refuted" else None
    return FormVerdict(claim, name, kind, statement, verdict, **{"counterexample": refuted, "seed": 7, "budget": "quick", **more})


def claim(id, verdict, family="natural policy gradient", title=None, forms=None, controls=(), **more):
    forms = [form(id, verdict)] if forms is None else forms
    return ClaimVerdict(id, title or id.replace("-", " "), family, SOURCE, list(forms), list(controls), **more)


def sample_run(**changes):
    npg, pg, smooth = "npg-one-over-T", "pg-theorem-direct-and-softmax", "softmax-smoothness-sharp"
    dropped = "gap(rho, t) <= log(A)/(eta*t)"
    identities = [
        form(pg, "proved", name="direct", statement="direct_gradient = direct_derivative", tightness=1, scope="S = 2", certified=400, instances=400),
        form(pg, "proved", name="softmax", statement="softmax_gradient = softmax_derivative", tightness=1, evidence="symbolic + 400 exact rational"),
    ]
    rate = form(
        npg, "supported", tightness=0.43, instances=2000, certified=60, trivial=12, horizon=10000, worst=WORST, curve=curve(), seconds=3.2,
        notes=["the bound times 1/2 was refuted"],
    )  # fmt: skip
    controls = [
        form(npg, "refuted", "control", "second term dropped", dropped, because="as eta grows a step becomes policy iteration"),
        form(npg, "refuted", "control", "any start <b>", dropped, because="KL may exceed log A & more"),
    ]
    assumptions = [
        {"name": "rewards", "text": "rewards lie in [0, 1]", "latex": r"r \in [0,1]"},
        {"name": "uniform", "text": "the start policy is uniform", "latex": ""},
    ]
    survived = form(smooth, "supported", "control", "half the constant", "hessian_norm <= 4/(1-gamma)**3", instances=20)
    mine = form("my-npg-bound", "refuted", statement=dropped, tightness=89.4, instances=64, curve=curve(0.5), notes=[SURVIVED])
    unmet = "start distribution positive everywhere (here it is 0 in 63 of 64 states)"
    absent = form("softmax-one-over-t-lower-bound", "undecided", evidence=f"not applicable: {unmet}", notes=[f"does not meet: {unmet}"])
    softmax = "softmax policy gradient"
    verdicts = [
        claim(pg, "proved", "identities", "Policy gradient theorem", identities, departs="The paper's d is not normalised.", hash="9f0c"),
        claim(npg, "supported", title="Softmax NPG: dimension-free O(1/T)", forms=[rate], controls=controls, uses=["performance-difference", pg],
              hash="a1b2", assumptions=assumptions),
        claim(smooth, "certified", softmax, forms=[form(smooth, "certified", tightness=0.1, instances=90, certified=90)], controls=[survived]),
        claim("softmax-mdp-one-over-t", "vacuous", softmax,
              forms=[form("softmax-mdp-one-over-t", "vacuous", tightness=3e-5, worst=LARGE, curve=curve(0.5, 2e4))]),
        claim("softmax-lojasiewicz", "undecided", softmax, forms=[form("softmax-lojasiewicz", "undecided", evidence="budget spent")]),
        claim("my-npg-bound", "refuted", "yours", forms=[mine]),
        claim("softmax-one-over-t-lower-bound", "undecided", softmax, forms=[absent], not_met=absent.notes),
    ]  # fmt: skip
    fields = {
        "verdicts": verdicts, "seed": 7, "budget": "quick", "seconds": 41.3, "command": "pgtheory verify --budget quick --seed 7", "version": "0.1.0",
        "sources": "0123456789abcdef", "started": "2026-01-02 03:04:05",
    }  # fmt: skip
    return Run(**(fields | changes))
