"""`python -m proofs_check` is the command `pgtheory`."""

from __future__ import annotations

from proofs_check.cli import main

if __name__ == "__main__":
    main()
