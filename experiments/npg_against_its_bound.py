"""Natural policy gradient on slippery FrozenLake 4x4 against the bound of Agarwal et al. (2021), Theorem 5.3: the picture of the README.

    python experiments/npg_against_its_bound.py [folder]

Writes npg-one-over-T.png and the plotted figures as npg-one-over-T.csv into `folder` (default docs/_static).
"""

from __future__ import annotations

import csv
import pathlib
import sys

import matplotlib

import mdps
import pgtheory
from proofs_check.bounds import bounds_for_run
from proofs_check.plots import plot_run

STEP_SIZE = 1.0
ITERATIONS = 10_000


def main(folder: pathlib.Path) -> None:
    """Runs, draws and writes both files."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lake = mdps.zoo.frozen_lake(4, discount="9/10")
    run = pgtheory.run(lake, pgtheory.NaturalPG(step_size=STEP_SIZE), ITERATIONS)
    figure, ax = plt.subplots(figsize=(8, 4.2), constrained_layout=True)
    plot_run(run, ax)
    command = "python experiments/npg_against_its_bound.py"
    figure.savefig(folder / "npg-one-over-T.png", dpi=150, metadata={"Description": f"{command}; {lake.name}, step size {STEP_SIZE}"})
    bounds = bounds_for_run(run)
    with (folder / "npg-one-over-T.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t", "gap", *bounds])
        writer.writerows(zip(run.times.tolist(), run.gap().tolist(), *(values.tolist() for values in bounds.values()), strict=True))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "docs/_static"))
