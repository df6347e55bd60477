"""Files with something wrong in them: read as another model, or refused by a ModelError that names the file; never another exception, never NaN.

A good file is damaged in one place, at random: a line dropped, doubled, swapped with the next or cut; a character changed, dropped or put in; a number
replaced by something that numbers should not be."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, io, zoo

ENDINGS = (".json", ".csv", ".mdp", ".tra")
ODD = (
    "nan",
    "inf",
    "-1",
    "1e400",
    "1/0",
    "0.5.5",
    "x",
    "",
    "99999999999999999999",
    "1e-400",
    "٣",
    "½",
    "0x1",
    "1_0",
    "--2",
    "3/",
    '"',
    ",",
    ":",
    "#",
    "\t",
    "{",
)


def good_text(ending: str) -> str:
    mdp = MDP.from_choices(
        [0, 2, 3, 4],
        [["1/2", "1/2", 0], [0, 0, 1], ["1/3", "1/3", "1/3"], [0, 0, 1]],
        [1, 0, "3/2", -1],
        "1/2",
        [1, 0, 0],
        state_names=["a", "b c", "d"],
    )
    if ending == ".mdp":  # has one set of actions for all states
        mdp = zoo.loop()
    with TemporaryDirectory() as folder:
        return io.save(mdp, Path(folder) / f"m{ending}").read_text()


TEXTS = {ending: good_text(ending) for ending in ENDINGS}


def damaged(text: str, kind: int, place: int, word: str) -> str:
    lines = text.splitlines(keepends=True)
    k, at = place % len(lines), place % max(len(text), 1)
    if kind == 0:
        return "".join(lines[:k] + lines[k + 1 :])
    if kind == 1:
        return "".join(lines[: k + 1] + lines[k:])
    if kind == 2:
        return "".join(lines[:k] + lines[k + 1 : k + 2] + lines[k : k + 1] + lines[k + 2 :])
    if kind == 3:
        return text[:at]
    if kind == 4:
        return text[:at] + word + text[at + 1 :]
    if kind == 5:
        return text[:at] + word + text[at:]
    pieces = lines[k].split(" ")
    pieces[place // len(lines) % len(pieces)] = word
    return "".join([*lines[:k], " ".join(pieces), *lines[k + 1 :]])


def read_or_refused(path: Path, discount=None) -> MDP | None:
    """The model in the file, or None after a ModelError that names the file; anything else gets through."""
    message = path.name
    try:
        return io.load(path, discount)
    except ModelError as error:
        message = str(error)
    assert path.name in message
    return None


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.integers(0, 6), place=st.integers(0, 5000), word=st.sampled_from(ODD))
@example(kind=3, place=0, word="")
def test_read_or_refused(tmp_path, ending, kind, place, word):
    path = tmp_path / f"model{ending}"
    path.write_text(damaged(TEXTS[ending], kind, place, word), encoding="utf-8")
    mdp = read_or_refused(path, "1/2")
    if mdp is None:
        return
    assert np.all(np.isfinite(mdp.pair_rewards))
    assert np.all(np.abs(np.asarray(mdp.transitions).sum(axis=2)[mdp.action_mask] - 1) <= 1e-9)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "m.json",
            '{"format":"mdps","version":1,"discount":0.5,"states":99999999999,"transitions":[{"state":0,"action":0,"reward":0,"to":{"0":1}}]}',
        ),
        ("m.json", '{"a":' * 100_000),
        ("m.csv", "state,action,next_state\n0,0,99999999999\n"),
        ("m.mdp", "discount: 0.5\nstates: 99999999999\nactions: 1\nT: 0 identity\n"),
        ("m.tra", "mdp\n99999999999 0 0 1\n"),
        ("m.tra", "99999999999 1 1\n0 0 0 1\n"),
        ("m.tra", "1 1 1\n0 99999999999999999999 0 1\n"),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_at_once(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=name):
        io.load(tmp_path / name, 0.5)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_in_an_npz_is_noticed_or_harmless(tmp_path, place, value):
    path = tmp_path / "model.npz"
    io.save(zoo.loop(), path)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(bytes(data))
    mdp = read_or_refused(path)
    assert mdp is None or mdp.digest() == zoo.loop().digest()
