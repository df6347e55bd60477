"""What a verification leaves behind: an HTML report that opens from disk, the figures' data, the counterexamples, run.json."""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    "write_report": "proofs_check.report.write",
    "write_data": "proofs_check.report.write",
    "read_run": "proofs_check.report.write",
    "counterexample_files": "proofs_check.report.write",
    "reproduce": "proofs_check.report.words",
    "summary": "proofs_check.report.words",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazily(__name__, _HOME)
