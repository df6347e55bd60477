"""The error that bad input ends in, with the small helpers that phrase it."""

from __future__ import annotations


class ModelError(ValueError):
    """Bad input: the message names the place (state, action, file, line), the figure, and what to do."""


def plural(count: int, noun: str) -> str:
    """'1 state', '3 states'."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """' Did you mean x, y?' for the known words nearest to `word`, or an empty string."""
    import difflib

    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(close)}?" if close else ""
