"""Sweeps: every instance by every method by every step size by every seed, kept in the store as it is finished, wherever it is computed.

from proofs_check.store import Store
from proofs_check.sweep import Plan, sweep

plan = Plan(instances=("chain(5)",), methods=("reinforce", "softmax-pg"), step_sizes=("1/4", "1"), seeds=100, steps=500)
with Store("runs/evidence.sqlite") as store:
    for series in sweep(plan, store=store):
        print(series.label, series.summary().mean)
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {"Plan": "plan", "read_plan": "plan", "Series": "cells", "Result": "figures", "Summary": "figures", "sweep": "runs"}
__all__ = list(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
