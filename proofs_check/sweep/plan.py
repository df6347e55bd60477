"""The plan of a sweep: what is crossed with what, from the command line or from a TOML or JSON file.

    instances = ["chain(5)", "garnet(20, 3)", "my.json", "bernoulli(1/2, 1/3)"]
    methods = ["softmax-pg", "reinforce", "npg"]
    step-sizes = ["1/4", 1]
    seeds = 100          # replications
    samples = 10         # paths a step
    steps = 500

Keys are spelt as the options of `pgtheory sweep`; what is left out has the default of `Plan`.  A bad file is refused with its line and key, also
where only the models and methods themselves say what is wrong (`Plan.said_of`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from mdps.errors import ModelError, nearest
from mdps.rational import fraction
from pgtheory.starts import read_start
from proofs_check.files import to_json, write_whole

ENDINGS = (".toml", ".json")
LEAST = {"seeds": 1, "samples": 1, "steps": 1, "horizon": 1, "seed": 0}
"""Whole numbers, and the least that each may be."""
LISTS = ("instances", "methods", "step_sizes")


@dataclasses.dataclass(frozen=True)
class Plan:
    """A grid: instances x methods x step sizes x seeds.

    instances    models as on the command line (`mdps.io.load_model`), random models `garnet(20, 3, seed=1)`, bandits `bernoulli(1/2, 1/3)`
    methods      names as in `pgtheory run --method`, with their settings: "storm-pg:weight=0.2"
    step_sizes   numbers as text; every method that has a step size, and none written at its name, is run with each
    seeds        replications: runs 0 .. seeds - 1 of the one `seed`
    steps        iterations of each run;  samples  paths of a step (10; of a bandit 1 pull)
    horizon      steps of a path; by default until the discount leaves 1/100
    discount     in [0, 1), replaces that of every model;  start  first policy of exact methods: "uniform", "adversarial:1/50", or "random", which
                 replication r begins at "random:(seed + r)"
    places       key -> the file and line that it was read from
    raises       ModelError: names the key and the figure
    """

    instances: tuple[str, ...]
    methods: tuple[str, ...]
    step_sizes: tuple[str, ...] = ()
    seeds: int = 20
    steps: int = 1000
    samples: int | None = None
    horizon: int | None = None
    discount: str | None = None
    seed: int = 0
    start: str = "uniform"
    places: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in keys():
            object.__setattr__(self, key, checked(key, getattr(self, key)))

    def replace(self, **changes: Any) -> Plan:
        """The plan with other values."""
        kept = {key: place for key, place in self.places.items() if key not in changes}
        return dataclasses.replace(self, places=kept, **changes)

    @contextlib.contextmanager
    def said_of(self, key: str) -> Iterator[None]:
        """A ModelError that is raised in here gets the place of the key in front of it, if the key was read from a file."""
        try:
            yield
        except ModelError as error:
            if key not in self.places:
                raise
            raise ModelError(f"{self.places[key]}, {spelt(key)}: {error}") from None

    def data(self) -> dict[str, Any]:
        """Key -> value as in a file, without what is left at its default of None."""
        values = {key: getattr(self, key) for key in keys()}
        return {spelt(key): list(v) if isinstance(v, tuple) else v for key, v in values.items() if v not in (None, ())}

    def toml(self) -> str:
        """The plan as TOML; `read_plan` reads it back."""
        return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in self.data().items())

    def save(self, path: pathlib.Path) -> None:
        """Writes .toml or .json, whole or not at all."""
        _check_ending(path)
        write_whole(path, self.toml() if path.suffix.lower() == ".toml" else to_json(self.data()))

    def command(self) -> str:
        """The command line that asks for the same figures."""
        import shlex

        words = ["pgtheory", "sweep", *self.instances, "--method", ",".join(self.methods)]
        for key, value in self.data().items():
            if key not in ("instances", "methods") and (key, value) != ("start", "uniform"):
                words += [f"--{'step-size' if key == 'step-sizes' else key}", ",".join(value) if isinstance(value, list) else str(value)]
        return shlex.join(words)


def keys() -> tuple[str, ...]:
    """The fields of a plan that a file holds."""
    return tuple(field.name for field in dataclasses.fields(Plan) if field.name != "places")


def spelt(key: str) -> str:
    """A field as it is spelt in files and options."""
    return key.replace("_", "-")


def read_plan(path: str | pathlib.Path) -> Plan:
    """The plan in a .toml or .json file.

    raises   ModelError: no such file, bad syntax (line and column), an unknown key (the nearest known ones), a value that will not do (line and key)
    """
    path = pathlib.Path(path)
    _check_ending(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"cannot read the plan {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is no plan: byte {error.start} is no UTF-8 text") from error
    try:
        data = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path} is no TOML: {error}") from error
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} is no plan: it holds {type(data).__name__}, not keys with values")
    known = [spelt(key) for key in keys()]
    values, places = {}, {}
    for key, value in data.items():
        where = places[key.replace("-", "_")] = f"{path}, line {_line(text, key)}"
        if spelt(key) not in known:
            raise ModelError(f"{where}: unknown key {key!r}; a plan has {', '.join(known)}.{nearest(spelt(key), known)}")
        try:
            values[key.replace("-", "_")] = checked(key.replace("-", "_"), value)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from None
    missing = [key for key in ("instances", "methods") if key not in values]
    if missing:
        raise ModelError(f"{path}: the plan has no {missing[0]}")
    return Plan(**values, places=places)


def checked(key: str, value: Any) -> Any:
    """The value of a field, in its own type.  raises  ModelError: names key and value"""
    name = spelt(key)
    if key in LISTS:
        return _texts(key, value)
    if key in LEAST:
        if value is None and key in ("samples", "horizon"):
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ModelError(f"{name} is {value!r}; it must be a whole number")
        if value < LEAST[key]:
            raise ModelError(f"{name} is {value}; it must be at least {LEAST[key]}")
        if key == "seed" and value >= 2**64:
            raise ModelError(f"seed is {value}; it must be below 2^64")
        return value
    if key == "discount":
        return None if value is None else _number(name, value)
    if not isinstance(value, str) or not value:
        raise ModelError(f"{name} is {value!r}; it must be text")
    read_start(value, name)
    return value


def _texts(key: str, value: Any) -> tuple[str, ...]:
    name = spelt(key)
    if isinstance(value, str | bytes) or not isinstance(value, list | tuple):
        raise ModelError(f"{name} is {value!r}; it must be a list, such as {_EXAMPLES[key]}")
    if not value and key != "step_sizes":
        raise ModelError(f"{name} is empty; it must name at least one")
    texts = tuple(_number(name, item) if key == "step_sizes" else item for item in value)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ModelError(f"{name} holds {text!r}; it must be text")
        if texts.count(text) > 1:
            raise ModelError(f"{name} names {text} twice")
    return tuple(text.strip() for text in texts)


_EXAMPLES = {"instances": '["chain(5)"]', "methods": '["reinforce"]', "step_sizes": '["1/4", 1]'}


def _number(name: str, value: Any) -> str:
    """A number as text: 0.25 and "1/4" stay as they are written."""
    text = str(value).strip()
    try:
        if isinstance(value, bool):
            raise ModelError("a truth value")
        number = fraction(text)
    except (ModelError, ValueError, ZeroDivisionError):
        raise ModelError(f"{name} holds {value!r}, which is no number; write 0.1 or 1/10") from None
    if name == "step-sizes" and not number > 0:
        raise ModelError(f"{name} holds {text}; a step size must be above 0")
    if name == "discount" and not 0 <= number < 1:
        raise ModelError(f"{name} is {text}; it must be at least 0 and below 1")
    return text


def _check_ending(path: pathlib.Path) -> None:
    if path.suffix.lower() not in ENDINGS:
        raise ModelError(f"{path}: a plan ends in {' or '.join(ENDINGS)}")


def _line(text: str, key: str) -> int:
    """The line (from 1) on which a key stands."""
    found = re.search(rf"""(?m)^[\s{{,]*["']?{re.escape(key)}["']?\s*[=:]""", text) or re.search(rf'"{re.escape(key)}"\s*:', text)
    if found is None:
        return 1
    at = text.index(key, found.start())
    return text.count("\n", 0, at) + 1
