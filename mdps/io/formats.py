"""One door for models: the text that names one, and the file endings that formats go by."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.rational import fraction, rational

FORMATS: dict[str, tuple[str, str, str]] = {
    # ending: (module, reader, writer)
    ".npz": ("native", "read_npz", "write_npz"),
    ".json": ("native", "read_json", "write_json"),
    ".csv": ("transition_list", "read_csv", "write_csv"),
    ".mdp": ("cassandra", "read_cassandra", "write_cassandra"),
    ".pomdp": ("cassandra", "read_cassandra", ""),
    ".tra": ("prism", "read_prism_mdp", "write_prism_mdp"),
}


def load_model(spec: str | Path | MDP, discount: Any = None) -> MDP:
    """The model that a text names: what MODEL means on the command line.

    spec       "gym:FrozenLake8x8-v1"; a zoo expression, "frozen_lake(8)" or "domino(8, 9/10)"; a file, "model.json"; or an MDP, returned as it is
    discount   replaces the model's own; for files and environments that have none it is the discount (0.99 for gymnasium)
    raises     ModelError: says what is wrong and, for an unknown name, what is near
    """
    if isinstance(spec, MDP):
        from mdps.io.files import discount_for

        return spec if discount is None else spec.replace(discount=discount_for(spec.given_exactly, discount))
    text = str(spec).strip()
    if text.lower().startswith("gym:"):
        from mdps.io.gym_tables import from_gymnasium

        return from_gymnasium(text[4:].strip(), 0.99 if discount is None else float(fraction(_discount(discount))))
    if isinstance(spec, Path) or _is_file(text):
        return load(text, discount)
    from mdps import zoo
    from mdps.zoo.registry import normal

    if "(" not in text and normal(text) not in zoo.names():
        raise ModelError(_unknown(text))
    return zoo.load(text, None if discount is None else _discount(discount))


def load(path: str | Path, discount: Any = None) -> MDP:
    """The model in a file, whose ending names the format (see FORMATS); `discount` replaces or supplies the file's own."""
    module, reader, _ = _format(path)
    if not Path(path).exists():
        raise ModelError(f"{path}: there is no such file")
    read: Callable[..., MDP] = getattr(importlib.import_module(f"mdps.io.{module}"), reader)
    return read(path, discount=None if discount is None else _discount(discount))


def save(mdp: MDP, path: str | Path) -> Path:
    """Writes the model, whole or not at all, in the format that the file's ending names; exact numbers stay exact."""
    module, _, writer = _format(path)
    if not writer:
        raise ModelError(f"{path}: {Path(path).suffix} files are read only; an MDP is written as {', '.join(e for e, f in FORMATS.items() if f[2])}")
    write: Callable[..., Path] = getattr(importlib.import_module(f"mdps.io.{module}"), writer)
    return write(mdp, path)


def _discount(value: Any) -> Any:
    """Text such as "9/10" exactly; numbers as they are."""
    return rational(value) if isinstance(value, str) else value


def _format(path: str | Path) -> tuple[str, str, str]:
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ModelError(f"{path}: no format goes by the ending {ending!r}; known are {', '.join(FORMATS)}")
    return FORMATS[ending]


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file() or (Path(text).suffix.lower() in FORMATS and "(" not in Path(text).suffix)
    except OSError:
        return False


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:
        return False


def _unknown(text: str) -> str:
    from mdps import zoo
    from mdps.zoo.registry import normal

    if text and _is_folder(text):
        inside = sorted(path.name for path in Path(text).iterdir() if path.suffix.lower() in FORMATS)
        held = f"in it lies {', '.join(inside[:5])}{' ...' if len(inside) > 5 else ''}" if inside else "this one holds none"
        return f"{text} is a folder; a model is a file ({', '.join(FORMATS)}); {held}"
    close = nearest(normal(text), zoo.names())
    return (
        f"{text!r} is no file, and the zoo has no instance of that name.{close}\n"
        f"  A model is a zoo expression such as domino(8, 9/10), gym:FrozenLake8x8-v1, or a file ({', '.join(FORMATS)})."
    )
