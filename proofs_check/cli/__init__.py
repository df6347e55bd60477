"""The command line `pgtheory`.  This file holds the commands and loads nothing but typer; each command's work is a module of its own, as are the
options that several share.

Results go to stdout, progress and messages to stderr.  Exit status: 0 as expected; 1 a claim was refuted that should hold, or a negative
control was not; 2 bad usage or input, with one line that says what to do; 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from mdps.errors import ModelError
from proofs_check.cli import family_options as fo
from proofs_check.cli import sweep_options
from proofs_check.cli.group import Commands, Grouped
from proofs_check.cli.options import Bench, Budget, Direction, Discount, Json, Model, Rectangular, RiskOf, SolveMethod, known_ids

app = typer.Typer(
    name="pgtheory",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="The theory of policy gradients as software that can be run against itself: verify theorems on real MDPs, solve them, run methods.",
)
claims_app = typer.Typer(cls=Commands, rich_markup_mode=None, help="List the claims, or show one.")
app.add_typer(claims_app, name="claims", invoke_without_command=True)


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"pgtheory {version('pgtheory')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and end.")] = False,
) -> None:
    pass


def main() -> None:
    """The entry point of the console script."""
    app()


@app.command()
def verify(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="Claim ids, id:form, families, or Python files with claims; all claims if left out.",
            autocompletion=known_ids,
        ),
    ] = None,
    budget: Annotated[Budget, typer.Option(help="How hard to search.")] = Budget.quick,
    bound: Annotated[str | None, typer.Option(metavar="EXPR", help="Another bound in place of the claim's: 'log(A)/(eta*t)'.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=EXPR", help="Another value for a setting: eta=1/5.")] = None,
    instance: Annotated[str | None, typer.Option(metavar="MODEL", help="On this model only: a zoo instance, gym:ID, or a file.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures, with any number of jobs.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; all cores if left out.")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, tcp://host:port, whose workers do the work.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where run.json and the report go; runs/<time> if left out.")] = None,
    as_json: Json = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Verify again what the store already holds.")] = False,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="The evidence store; runs/evidence.sqlite if left out.")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML; run.json and counterexamples are written anyway.")] = False,
) -> None:
    """Verify claims, and write a report."""
    from proofs_check.cli.verification import Request, verify_and_report

    request = Request(
        tuple(targets or ()), budget.value, bound, tuple(settings or ()), instance, seed, jobs, scheduler, out, as_json, fresh, store, not no_report
    )
    raise typer.Exit(verify_and_report(request))


@app.command()
def mutate(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM[:FORM]]...", help="Claims or files with claims.", autocompletion=known_ids)
    ] = None,
    standard: Annotated[
        bool, typer.Option("--all", help="The standard selection: ten theorems, their lemmas, and thirty others of all kinds.")
    ] = False,
    everything: Annotated[bool, typer.Option("--everything", help="Every claim of the catalogue.")] = False,
    budget: Annotated[Budget, typer.Option(help="How hard to search.")] = Budget.quick,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures, with any number of jobs.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core if left out.")] = None,
    as_json: Json = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Judge again what the store already holds.")] = False,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="The evidence store; runs/evidence.sqlite if left out.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="List every mutant, not the survivors only.")] = False,
) -> None:
    """Derive false versions of a theorem, and see them refuted.

    Status 1 if one survives that is neither implied nor known to be true."""
    from proofs_check.cli.mutation import mutate_and_print

    status = mutate_and_print(
        targets or [], standard, everything, budget=budget.value, seed=seed, jobs=jobs, as_json=as_json, fresh=fresh, store=store, all_rows=verbose
    )
    raise typer.Exit(status)


@app.command()
def tightness(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM[:FORM]]...", help="Claims or files with claims.", autocompletion=known_ids)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every claim of the catalogue.")] = False,
    budget: Annotated[Budget, typer.Option(help="How hard to search.")] = Budget.quick,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 0,
    as_json: Json = False,
    orders: Annotated[bool, typer.Option(help="Fit the exponents of 1/(1-gamma), S and A too.")] = True,
) -> None:
    """Say by how much a bound could be sharpened, and its true order."""
    from proofs_check.cli.mutation import tightness_and_print

    raise typer.Exit(tightness_and_print(targets or [], everything, budget=budget.value, seed=seed, as_json=as_json, orders=orders))


@app.command()
def grade(
    exercise: Annotated[str | None, typer.Argument(metavar="[EXERCISE]", help="A name of --list; alone: what is asked.")] = None,
    submission: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The Python file to mark.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the exercises.")] = False,
    starter: Annotated[bool, typer.Option("--starter", help="Print a file to begin with.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="Wall seconds for one call of the student's function.")] = 2.0,
    memory: Annotated[int, typer.Option("--memory", help="Memory of the student's process in MiB.")] = 1024,
    as_json: Json = False,
) -> int:
    """Mark a student's file: property checks in a process of its own, with the smallest instance on which it is wrong."""
    from proofs_check.cli import grading

    if exercise is None or list_all:
        return grading.list_exercises(as_json)
    if submission is None:
        return grading.show_exercise(exercise, starter)
    return grading.grade_file(exercise, submission, seconds, memory, as_json)


@app.command()
def reference(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A zoo instance, gym:ID, or a file; alone: what has a file here.")] = None,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the figures.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", hidden=True, help="Write the committed files again.")] = False,
) -> None:
    """Exact figures of a model as fractions, for the tests of other programs."""
    from proofs_check.cli.reference import list_models, rebuild_files, show_model

    if rebuild:
        raise typer.Exit(rebuild_files())
    if model is None and out is not None:
        raise ModelError("--out writes the figures of one model: name it, such as `pgtheory reference 'chain(3)' --out chain.json`")
    raise typer.Exit(list_models(as_json) if model is None else show_model(model, as_json, out))


@app.command()
def explore(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; any that is free if left out.")] = 0,
    show: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """A local web page: pick an instance, a method, a step size, and watch the run beside its bounds."""
    from proofs_check.cli.explore import serve_page

    raise typer.Exit(serve_page(port, show))


@claims_app.callback(invoke_without_command=True)
def claims(
    context: typer.Context,
    as_json: Json = False,
    rebuild_index: Annotated[bool, typer.Option("--rebuild-index", hidden=True, help="Write index.json from the claims.")] = False,
) -> None:
    """List the claims of the catalogue (or show one: `pgtheory claims show ID`)."""
    if rebuild_index:
        from proofs_check.cli.listing import rebuild

        rebuild()
    elif context.invoked_subcommand is None:
        from proofs_check.cli.listing import print_list

        print_list(None, as_json)


@claims_app.command("list")
def claims_list(
    family: Annotated[str | None, typer.Argument(metavar="[FAMILY]", help="Only this family.")] = None,
    as_json: Json = False,
) -> None:
    """List the claims: id, title, source."""
    from proofs_check.cli.listing import print_list

    print_list(family, as_json)


@claims_app.command("show")
def claims_show(
    claim: Annotated[str, typer.Argument(metavar="ID", autocompletion=known_ids)],
    as_json: Json = False,
) -> None:
    """Show a claim with all that belongs to it."""
    from proofs_check.cli.listing import print_claim

    print_claim(claim, as_json)


@claims_app.command("tree")
def claims_tree(
    claim: Annotated[str, typer.Argument(metavar="ID", autocompletion=known_ids)],
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="Verdicts from this evidence store; runs/evidence.sqlite if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Show the lemmas that a claim rests on, with their verdicts."""
    from proofs_check.cli.tree import print_tree

    print_tree(claim, store, as_json)


@claims_app.command("quantities")
def claims_quantities(as_json: Json = False) -> None:
    """List what statements and --bound may use."""
    from proofs_check.cli.listing import print_quantities

    print_quantities(as_json)


@app.command(cls=Grouped)
def solve(
    model: Model,
    discount: Discount = None,
    exact: Annotated[bool, typer.Option("--exact", help="In rationals, with a checked certificate of optimality.")] = False,
    method: Annotated[SolveMethod, typer.Option(help="How to solve it in floats.")] = SolveMethod.auto,
    tolerance: Annotated[float, typer.Option("--tol", help="How far from V* the values may be, proved.")] = 1e-8,
    average: fo.Average = False,
    reach: fo.Reach = None,
    direction: fo.Towards = Direction.max,
    risk: fo.SolveRisk = None,
    risk_of: fo.Rated = RiskOf.step,
    horizon: fo.SolveHorizon = None,
    robust: fo.SolveRobust = None,
    rectangular: fo.SharedOut = Rectangular.sa,
    constraint: fo.Constraint = None,
    costs: fo.Costs = None,
    utility: fo.SolveUtility = None,
    answer: fo.Answer = None,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write values and policy to .json, .csv or .npz.")] = None,
) -> None:
    """Solve a model, with proved bounds."""
    if answer is not None:
        from proofs_check.cli.performative import solve_answering_model

        if exact or average or method is not SolveMethod.auto or any(x is not None for x in (reach, risk, robust, utility, costs, constraint)):
            raise ModelError("--answer goes without --exact, --method, --average, --reach, --risk, --robust, --utility and --constraint")
        raise typer.Exit(solve_answering_model(model, discount, answer=answer, as_json=as_json, out=out))
    if utility is not None:
        from proofs_check.cli.utility import solve_utility_model

        others = (exact, method is not SolveMethod.auto, average, reach is not None, risk is not None, robust is not None, bool(constraint))
        if any(others):
            raise ModelError("--utility goes without --exact, --method, --average, --reach, --risk, --robust and --constraint")
        raise typer.Exit(solve_utility_model(model, discount, utility=utility, tolerance=tolerance, as_json=as_json, out=out))
    if constraint or costs is not None:
        from proofs_check.cli.constrained import solve_constrained_model

        if not constraint:
            raise ModelError("--costs says what constraints are about: give one with --constraint, such as --constraint 'cost<=0.3'")
        plain = risk_of is RiskOf.step and rectangular is Rectangular.sa and method is SolveMethod.auto
        if average or not plain or any(x is not None for x in (reach, risk, horizon, robust)):
            raise ModelError("--constraint goes without --average, --reach, --risk, --robust, --method and what belongs to them")
        raise typer.Exit(solve_constrained_model(model, discount, constraints=constraint, costs=costs, exact=exact, as_json=as_json, out=out))
    if robust is not None or rectangular is not Rectangular.sa:
        from proofs_check.cli.robust import solve_robust_model

        if robust is None:
            raise ModelError("--rectangular says how a set of models is made: give one with --robust, such as --robust l1:0.2")
        if average or reach is not None or risk is not None:
            raise ModelError("--robust goes without --average, --reach and --risk")
        chosen: dict[str, Any] = {"robust": robust, "rectangular": rectangular.value, "exact": exact, "method": method.value, "tolerance": tolerance}
        raise typer.Exit(solve_robust_model(model, discount, **chosen, as_json=as_json, out=out))
    if risk is not None or risk_of is not RiskOf.step or horizon is not None:
        from proofs_check.cli.risk import solve_risk

        if risk is None:
            raise ModelError("--risk-of and --horizon say what a risk measure rates: give one with --risk, such as --risk cvar:0.1")
        if average or reach is not None or method is not SolveMethod.auto:
            raise ModelError("--risk goes without --average, --reach and --method")
        options: dict[str, Any] = {"risk": risk, "of": risk_of.value, "horizon": horizon, "exact": exact, "tolerance": tolerance}
        raise typer.Exit(solve_risk(model, discount, **options, as_json=as_json, out=out))
    from proofs_check.cli.models import solve_model

    asked: dict[str, Any] = {"average": average, "reach": reach, "direction": direction.value}
    raise typer.Exit(solve_model(model, discount, exact=exact, method=method.value, tolerance=tolerance, as_json=as_json, out=out, **asked))


@app.command(cls=Grouped)
def run(
    model: Model,
    method: Annotated[
        str, typer.Option(metavar="NAMES", help="One or several, with commas: npg,softmax-pg:step-size=1/10. A question mark lists all, by family.")
    ],
    step_size: fo.StepSize = None,
    temperature: fo.Temperature = None,
    geometry: fo.Geometry = None,
    robust: fo.RunRobust = None,
    risk: fo.RunRisk = None,
    utility: fo.RunUtility = None,
    constraint: fo.Constraint = None,
    costs: fo.Costs = None,
    start: Annotated[str, typer.Option(metavar="NAME", help="First policy: uniform, random:SEED or adversarial:SHARE.")] = "uniform",
    iterations: Annotated[int | None, typer.Option(min=1, help="Steps; 1000 if left out.", show_default=False)] = None,
    discount: Discount = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the gaps, and the catalogue's bounds: .svg, .png or .pdf.")] = None,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write times, policies, parameters and values of one run to .npz.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write t, gap, value and bounds of all runs to .csv.")] = None,
    samples: fo.Samples = None,
    runs: fo.Runs = None,
    horizon: fo.RunHorizon = None,
    seed: fo.Seed = None,
    episodes: fo.Episodes = None,
    rewards: fo.RewardLaw = None,
) -> None:
    """Run policy gradient methods on a model and compare them: final gap, fitted rate, the theorems that apply."""
    if method.strip() == "?":
        from proofs_check.cli.families import list_methods

        raise typer.Exit(list_methods())
    from proofs_check.cli.online import is_online, run_episodes

    if episodes is not None or rewards is not None or any(is_online(part) for part in method.split(",")):
        others: dict[str, Any] = {"--robust": robust, "--risk": risk, "--utility": utility, "--costs": costs, "--samples": samples}
        others |= {
            "--iterations": iterations,
            "--discount": discount,
            "--constraint": constraint or None,
            "--start": None if start == "uniform" else start,
        }
        settings = {"step_size": step_size, "temperature": temperature, "geometry": geometry}
        asked = {"episodes": episodes, "runs": runs, "horizon": horizon, "seed": seed, "rewards": rewards}
        raise typer.Exit(run_episodes(model, method, settings, asked, others, plot=plot, as_json=as_json, out=out, trail=csv))
    iterations = 1000 if iterations is None else iterations
    if constraint or costs is not None:
        from proofs_check.cli.constrained_runs import run_constrained_methods

        if not constraint:
            raise ModelError("--costs says what constraints are about: give one with --constraint, such as --constraint 'cost<=0.3'")
        if any(x is not None for x in (robust, risk, utility, horizon, samples, runs, seed)) or start != "uniform":
            raise ModelError("--constraint goes without --robust, --risk, --utility, --horizon, --samples, --runs, --seed and --start")
        told: dict[str, Any] = {"constraints": constraint, "costs": costs, "discount": discount, "plot": plot, "as_json": as_json}
        settings = {"step_size": step_size, "temperature": temperature, "geometry": geometry}
        raise typer.Exit(run_constrained_methods(model, method, settings, iterations, **told, out=out, trail=csv))
    if utility is not None:
        from proofs_check.cli.utility import run_utility_methods

        if any(x is not None for x in (temperature, geometry, robust, risk, horizon, samples, runs)) or start != "uniform":
            raise ModelError("--utility goes without --temperature, --geometry, --robust, --risk, --horizon, --samples, --runs and --start")
        told = {"utility": utility, "discount": discount, "step_size": step_size, "seed": seed or 0}
        raise typer.Exit(run_utility_methods(model, method, iterations, **told, plot=plot, as_json=as_json, out=out, trail=csv))
    from proofs_check.cli.runs import risk_options, robust_options, run_methods
    from proofs_check.cli.sampled import NAMES as SAMPLED
    from proofs_check.cli.sampled import Sampling, is_sampled, run_sampled_methods

    options = {"step_size": step_size, "temperature": temperature, "geometry": geometry} | robust_options(robust)
    if any(is_sampled(part) for part in method.split(",")):
        if risk is not None:
            raise ModelError("--risk is for the risk-averse methods, which know the model; the sampled ones have none of it")
        chosen = Sampling(samples or 10, runs or 20, horizon, seed or 0, start=start)
        raise typer.Exit(
            run_sampled_methods(model, method, options, iterations, chosen, discount=discount, plot=plot, as_json=as_json, out=out, trail=csv)
        )
    for flag, value in (("--samples", samples), ("--runs", runs), ("--seed", seed)):
        if value is not None:
            raise ModelError(f"{flag} is for sampled methods ({', '.join(SAMPLED)}); {method} takes exact gradients and is run once")
    options |= risk_options(risk, horizon)
    raise typer.Exit(run_methods(model, method, options, iterations, discount=discount, plot=plot, as_json=as_json, out=out, trail=csv, start=start))


app.command(cls=Grouped)(sweep_options.sweep)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A counterexample that `pgtheory verify` wrote.")],
    as_json: Json = False,
) -> None:
    """Check a counterexample again.

    Status 0 if rigorous arithmetic confirms it, 1 if not."""
    from proofs_check.cli.tools import replay_file

    raise typer.Exit(replay_file(file, as_json))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN.json", help="The run.json of a run, or its folder.")],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to write; beside run.json if left out.")] = None,
) -> None:
    """Write the HTML report of a run again."""
    from proofs_check.cli.tools import rewrite_report

    raise typer.Exit(rewrite_report(run, out))


@app.command()
def bench(
    what: Annotated[Bench, typer.Argument(metavar="policy-gradient|solvers|robust|sampling")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    full: Annotated[bool, typer.Option("--full", help="With the large models, which take minutes (solvers).")] = False,
    as_json: Json = False,
) -> None:
    """Measure ours and the installed peers."""
    from proofs_check.cli.tools import run_bench

    raise typer.Exit(run_bench(what.value, quick, full, as_json))


@app.command()
def doctor(
    warm: Annotated[bool, typer.Option("--warm", help="Compile all kernels now.")] = False,
    as_json: Json = False,
) -> None:
    """Check the installation."""
    from proofs_check.cli.doctor import examine

    raise typer.Exit(examine(warm, as_json))
