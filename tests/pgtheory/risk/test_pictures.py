"""The pictures draw what the figures say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from mdps import zoo
from pgtheory.risk.pictures import plot_profile, plot_tail
from pgtheory.risk.returns import Law
from pgtheory.risk.static_cvar import solve_static


@pytest.fixture(scope="module")
def laws() -> dict[str, Law]:
    model = zoo.gamble_on_luck()
    return {"risk neutral": solve_static(model, "mean", 4).law, "averse": solve_static(model, "cvar:1/2", 4).law}


def test_the_profile_is_the_distribution_function_with_its_risks(laws: dict[str, Law]) -> None:
    before = plt.get_fignums()
    ax = plot_profile(laws, ["mean", "cvar:1/2", "evar:1/2", "worst", "entropic:1"])
    drawn = {line.get_gid(): line for line in ax.lines}
    curve = drawn["law averse"]
    assert curve.get_xdata()[1:-1].tolist() == [0, 3, 4] and np.allclose(curve.get_ydata()[1:-1], [0.25, 0.75, 1])
    assert drawn["cvar:1/2 averse"].get_xdata()[0] == 1.5 and drawn["mean averse"].get_xdata()[0] == 2.5
    assert drawn["worst averse"].get_xdata()[0] == 0 <= drawn["evar:1/2 averse"].get_xdata()[0] <= 1.5
    assert drawn["mean risk neutral"].get_xdata()[0] == 3
    assert ax.get_title(loc="left") == "averse: CVaR 0.5 higher by 0.5, mean lower by 0.5"
    assert {text.get_text() for text in ax.texts} >= {"mean", "CVaR 0.5", "EVaR 0.5", "worst", "ERM 1"}
    assert plt.get_fignums() == before  # nothing global is opened


def test_one_law_and_an_axes_of_ones_own(laws: dict[str, Law]) -> None:
    own = Figure().subplots()
    assert plot_profile(laws["averse"], ax=own) is own
    assert own.get_title(loc="left").startswith("return: mean 2.5, CVaR 0.1 0")
    same = plot_profile({"a": laws["averse"], "b": laws["averse"]})
    assert "is better in the mean (by 0)" in same.get_title(loc="left")


def test_the_tail_is_shaded_up_to_its_level(laws: dict[str, Law]) -> None:
    ax = plot_tail(laws["averse"], "1/2")
    assert ax.get_title(loc="left") == "the worst 50% of the returns have mean 1.5"
    shaded = ax.collections[0].get_paths()[0].vertices
    assert shaded[:, 0].max() == 0.5 and shaded[:, 1].max() == 3
    assert any(text.get_text() == "CVaR = 1.5" for text in ax.texts)
