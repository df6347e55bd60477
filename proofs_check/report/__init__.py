"""What a verification leaves behind: an HTML report that opens from disk, the figures' data, the counterexamples, run.json."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "write_report": "proofs_check.report.write",
    "write_data": "proofs_check.report.write",
    "read_run": "proofs_check.report.write",
    "counterexample_files": "proofs_check.report.write",
    "reproduce": "proofs_check.report.words",
    "summary": "proofs_check.report.words",
}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'proofs_check.report' has no attribute {name!r}")
