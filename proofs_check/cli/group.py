"""How commands fail: what is the user's to mend ends in one line on stderr, never in a traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer
import typer.core

from mdps.errors import ModelError

_UsageError: Any = typer.BadParameter.__mro__[1]
INTERRUPTED = 130
"""Exit status after Ctrl-C; what was found by then is printed, written or kept all the same."""


class Commands(typer.core.TyperGroup):
    """Every failure that is the user's ends in one line on stderr and status 2, never in a traceback."""

    def main(self, args: Any = None, **options: Any) -> Any:  # type: ignore[override]
        options |= {"prog_name": "pgtheory", "standalone_mode": False}
        try:
            status = super().main(args=args, **options)
        except _UsageError as error:
            raise SystemExit(_usage(error)) from None
        except ModelError as error:
            raise SystemExit(_fail(str(error))) from None
        except (typer.Abort, KeyboardInterrupt):
            typer.echo("interrupted", err=True)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stderr.close()
            raise SystemExit(0) from None
        raise SystemExit(status if isinstance(status, int) else 0)


class Grouped(typer.core.TyperCommand):
    """Help in sections: an option with a `rich_help_panel` stands under that heading, the others under "Options"."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                plain = "Arguments" if param.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(param, "rich_help_panel", None) or plain, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def _usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "pgtheory"
    if not str(error.format_message()).strip() or type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(context.get_help() if context else "", err=True)
        return 2
    message = " ".join(error.format_message().replace("Value error, ", "").replace("Input should be", "it should be").split()).rstrip(".")
    return _fail(f"{message[:1].lower()}{message[1:]}{'' if message.endswith('?') else '.'} `{where} --help` lists what there is")


def _fail(message: str) -> int:
    typer.echo(f"pgtheory: {message}", err=True)
    return 2
