"""`pgtheory explore`: the page of `proofs_check.explore`, or one picture of it in a file."""

from __future__ import annotations

from proofs_check.cli.output import say


def serve_page(port: int, show: bool) -> int:
    """Serves the page until Ctrl-C."""
    from proofs_check.explore import panel_package, serve

    panel_package()
    say("the page takes some seconds to come up; Ctrl-C ends it")
    serve(port, show)
    return 0
