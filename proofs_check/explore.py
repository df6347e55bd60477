"""One instance, one method, one step size: where the run goes, and its gap beside every bound of the catalogue that speaks about it.

`picture` draws that as a matplotlib figure; `page` is the same as a local web page with widgets, for which the package Panel is needed
(`pip install 'pgtheory[explore]'`, then `pgtheory explore`).  What is drawn on the left depends on the model:

    one state, three actions     the simplex of policies, one step from everywhere as arrows
    two states, two actions      the square of policies likewise
    two states, more actions     the values of all policies
    any other                    the model as a graph, with the last policy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdps.errors import ModelError

if TYPE_CHECKING:
    from mdps.model import MDP

MODELS = ("arms([1, 4/5, 0])", "two_state", "polytope", "loop", "btpair", "chain(3)", "river_swim(4)")
METHODS = {"softmax-pg": "softmax policy gradient", "npg": "natural policy gradient", "projected-pg": "projected policy gradient"}
MOST_ITERATIONS = 100_000
"""A run of that length on a model that can be drawn takes about a second."""
MOST_DRAWN = 12
"""States of a graph that can still be read."""


def picture(model: str, method: str, step_size: str | float, iterations: int = 200, start: str = "uniform") -> Any:
    """A matplotlib figure: the run among policies, values or states on the left, its gap and the bounds of the catalogue on the right.

    model      what `pgtheory solve` takes: a zoo instance, gym:ID, a file;  method: a name of METHODS, or another that takes a step size
    step_size  a number or text such as "1/10";  start: "uniform", "random:SEED" or "adversarial:SHARE"
    raises     ModelError: no such model or method, a step size that is no positive number, iterations outside 1 .. 100,000
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, right, model, method, step_size, iterations, start)
    return figure


def halves(model: str, method: str, step_size: str | float, iterations: int = 200, start: str = "uniform") -> tuple[Any, Any]:
    """The two halves of `picture` as figures of their own, which a narrow page puts below each other."""
    from matplotlib.figure import Figure

    left, right = (Figure(figsize=(6, 5.2), layout="constrained") for _ in range(2))
    _draw(left.subplots(), right.subplots(), model, method, step_size, iterations, start)
    return left, right


def _draw(left: Any, right: Any, model: str, method: str, step_size: str | float, iterations: int, start: str) -> None:
    """Runs the method and draws both halves."""
    from mdps.io import load_model
    from pgtheory.run import run
    from proofs_check.cli.runs import fields_of, make_method
    from proofs_check.plots import plot_run

    if not 1 <= iterations <= MOST_ITERATIONS:
        raise ModelError(f"iterations is {iterations}; it must lie in 1 .. {MOST_ITERATIONS:,}")
    if "step_size" not in fields_of(method):
        raise ModelError(f"{method} takes no step size; try {', '.join(METHODS)}")
    mdp = load_model(model)
    chosen = make_method(method, {"step_size": str(step_size)})
    trajectory = run(mdp, chosen, iterations, initial=start)
    left.set_title(_drawn(mdp, chosen, METHODS.get(method, method), trajectory, left), loc="left", fontsize=10)
    plot_run(trajectory, right)


def _drawn(mdp: MDP, method: Any, label: str, trajectory: Any, ax: Any) -> str:
    """Draws the left half and says what it shows."""
    from proofs_check.pictures import plot_graph, plot_polytope, plot_simplex, plot_square

    shape = (mdp.num_states, mdp.num_actions)
    if shape == (1, 3):
        plot_simplex(mdp, {label: trajectory}, ax, field=method)
        return "policies: a corner is an action, an arrow one step"
    if shape == (2, 2) and mdp.is_rectangular:
        plot_square(mdp, {label: trajectory}, ax, field=method)
        return "policies of two states: an arrow is one step"
    if mdp.num_states == 2:
        plot_polytope(mdp, {label: trajectory}, ax)
        return "values of all policies"
    if mdp.num_states > MOST_DRAWN:
        raise ModelError(f"the model has {mdp.num_states} states; a graph can be read up to {MOST_DRAWN}. `pgtheory run --plot` draws its gap")
    plot_graph(mdp, ax, policy=trajectory.policies[-1])
    return "the model, with the last policy"


def page() -> Any:
    """The web page: widgets for model, method, step size, steps and start, and the figure that follows them.

    raises  ModelError: Panel is not installed (says how to)
    """
    panel = panel_package()
    widgets = {
        "model": panel.widgets.TextInput(name="instance (a zoo expression, gym:ID, or a file)", value=MODELS[0]),
        "example": panel.widgets.Select(name="or one of these", options=list(MODELS), value=MODELS[0]),
        "method": panel.widgets.Select(name="method", options={text: name for name, text in METHODS.items()}, value="npg"),
        "step_size": panel.widgets.TextInput(name="step size", value="1/10"),
        "iterations": panel.widgets.IntInput(name="steps", value=200, start=1, end=MOST_ITERATIONS),
        "start": panel.widgets.TextInput(name="first policy (uniform, random:SEED, adversarial:SHARE)", value="uniform"),
    }
    widgets["example"].link(widgets["model"], value="value")

    figure = panel.FlexBox(sizing_mode="stretch_width")

    def follow(*_: Any) -> None:
        asked = {name: widget.value for name, widget in widgets.items() if name != "example"}
        try:
            size = {"sizing_mode": "scale_width", "min_width": 320, "max_width": 600, "styles": {"flex": "1 1 320px"}}
            drawn = [panel.pane.Matplotlib(half, tight=False, **size) for half in halves(**asked)]
        except ModelError as error:
            drawn = [panel.pane.Alert(str(error), alert_type="warning")]
        figure[:] = drawn

    for name, widget in widgets.items():
        if name != "example":  # it changes the instance, which is followed
            widget.param.watch(follow, "value")
    follow()
    heading = panel.pane.Markdown("## pgtheory explore\nSolid: the measured gap. Dashed: what a theorem of the catalogue says about this run.")
    return panel.Column(heading, panel.FlexBox(*widgets.values()), figure, sizing_mode="stretch_width")


def serve(port: int = 0, show: bool = True) -> None:
    """Serves the page on this machine only, until interrupted; port 0: any that is free.  raises ModelError: no Panel, a port that is taken.

    show   whether a browser is opened
    """
    panel = panel_package()
    try:
        panel.serve(page, port=port, address="127.0.0.1", show=show, title="pgtheory explore")
    except OSError as error:
        raise ModelError(f"port {port} cannot be served: {error.strerror or error}; leave --port out for one that is free") from error


def panel_package() -> Any:
    """The package Panel.  raises ModelError: it is not installed (says how to install it)."""
    try:
        import panel
    except ModuleNotFoundError as error:
        raise ModelError("the page needs the package Panel: pip install 'pgtheory[explore]'") from error
    return panel
