"""The methods that `pgtheory run --method` takes, by the family that says which options go with them."""

from __future__ import annotations

import dataclasses

from proofs_check.cli.output import line, table

FAMILIES = {
    "exact": "gradients are exact; the last policy's gap beside the theorems that apply",
    "robust": "against the worst model of --robust SET",
    "risk": "averse to risk, as --risk MEASURE says",
    "sampled": "from paths: --samples, --runs, --horizon, --seed",
    "online": "explore in episodes, exact regret: --episodes, --horizon, --runs, --rewards, --seed",
    "constrained": "under thresholds: --constraint 'COST<=NUMBER', --costs",
    "utility": "a function of the occupancy: --utility NAME; --seed where paths are drawn",
}
"""Family -> what is asked of its methods, and the options that belong to it."""


def families() -> dict[str, dict[str, str]]:
    """Family -> name -> the settings of the method, as they are written on the command line."""
    from pgtheory.constrained.methods import METHODS as CONSTRAINED
    from pgtheory.online.names import NAMES as ONLINE
    from pgtheory.online.names import settings_of
    from pgtheory.policy_gradient import NAMES
    from proofs_check.cli import sampled, utility
    from proofs_check.cli.runs import fields_of, takes

    out: dict[str, dict[str, str]] = {family: {} for family in FAMILIES}
    for name in NAMES:
        fields = fields_of(name)
        if name.endswith(("-kl", "-euclidean")):
            fields.pop("geometry", None)  # the name says it
        out["robust" if "ambiguity" in fields else "risk" if "measure" in fields else "exact"][name] = takes(fields)
    for name in sampled.NAMES:
        out["sampled"][name] = f"{sampled.HELP[name]}; {takes(dict.fromkeys(sampled.settings_of(name), None))}"
    for name in ONLINE:
        out["online"][name] = takes(settings_of(name, written=True))
    for name, kind in CONSTRAINED.items():
        out["constrained"][name] = takes({field.name: field for field in dataclasses.fields(kind)})
    for name in utility.METHODS:
        told = takes(dict.fromkeys(utility.SETTINGS.get(name, ())))
        out["utility"][name] = told.replace("--horizon", ":horizon=")  # the option is for paths of the sampled family
    return {family: dict(sorted(members.items())) for family, members in out.items()}


def list_methods() -> int:
    """All names that `--method` takes, by family, with their settings: options of the command, or written at the name (`trpo:radius=0.1`)."""
    for family, members in families().items():
        line(f"{family}: {FAMILIES[family]}")
        table(("method", "settings"), list(members.items()))
        line()
    line("A setting :name= is written at the method: trpo:radius=0.1. Options go to every method that has them.")
    return 0
