"""`pgtheory sweep` as a command: its options, what they mean, and the call.  Loaded with every command, so it loads nothing but typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proofs_check.cli.options import Discount, Json

GRID, WORK, FILES = "The grid", "Where the work is done", "Files"


def sweep(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Zoo instances, gym:ID, files, 'garnet(20, 3)', 'bernoulli(1/2, 1/3)'.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAMES", rich_help_panel=GRID, help="Exact and sampled methods as in `pgtheory run`, with commas.")
    ] = None,
    step_size: Annotated[str | None, typer.Option(metavar="NUMBERS", rich_help_panel=GRID, help="Step sizes, with commas: 1/4,1.")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=GRID, help="Replications of each sampled method; 20 if left out.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=GRID, help="Iterations of each run; 1,000 if left out.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=GRID, help="Paths a step; 10 if left out, 1 pull of a bandit.")] = None,
    horizon: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=GRID, help="Steps of a path.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", rich_help_panel=GRID, help="Seed of all replications; 0 if left out.")] = None,
    start: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=GRID, help="First policy of exact methods: uniform, adversarial:SHARE, random.")
    ] = None,
    discount: Discount = None,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=GRID, help="The grid from a file; options replace its keys.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, rich_help_panel=WORK, help="Worker processes; 1 computes in this one.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", rich_help_panel=WORK, help="A Dask scheduler, tcp://host:port, whose workers do the work.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=WORK, help="Where finished cells are kept; runs/evidence.sqlite if left out.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", rich_help_panel=WORK, help="Compute again what the store already holds.")] = False,
    as_json: Json = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=FILES, help="One row a cell to .csv.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=FILES, help="Every series with its band over time to .json.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=FILES, help="Means and quantile bands: .svg, .png or .pdf.")] = None,
    save_plan: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=FILES, help="Write the grid, for --plan.")] = None,
) -> None:
    """Run methods on instances with many seeds, and compare them.

    Finished cells are kept: a run that was killed goes on where it was, and asking for more seeds computes only those."""
    from proofs_check.cli.sweep import Request, plan_of, sweep_and_print

    numbers = {"seeds": seeds, "steps": steps, "samples": samples, "horizon": horizon, "seed": seed}
    asked = plan_of(models or [], method, step_size, plan, numbers | {"start": start, "discount": discount})
    raise typer.Exit(sweep_and_print(asked, Request(jobs, scheduler, store, fresh, as_json, out, csv, plot, save_plan)))
