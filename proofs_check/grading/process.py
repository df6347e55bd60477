"""A submission as a process: calls with a clock, restarted where it died, read as JSON and never unpickled.

The limits keep a mistake from doing harm (an endless loop, a crash, a flood of output, too much memory).  They are no prison: for people who mean
harm, run the marking in a container.
"""

from __future__ import annotations

import dataclasses
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Limits:
    """call: wall seconds for one call; total: processor seconds of all calls of a check; memory: MiB; start: wall seconds to load the file."""

    call: float = 2.0
    total: int = 30
    memory: int = 1024
    start: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value > 0 or value == float("inf"):
                raise ModelError(f"the limit {field.name} is {value}; it must be a positive number")


class Failed(Exception):
    """The function raised an error, or the file does not load."""


class TimedOut(Exception):
    """No answer in time."""


class Died(Exception):
    """The process ended by itself: out of memory, a crash, exit()."""


class Submission:
    """The functions of one file.  Use it as a context; `call` starts the process and starts it again where it had to be ended."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits, self.printed = path.resolve(), limits, ""
        self.functions: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._folder = tempfile.TemporaryDirectory(prefix="pgtheory-grade-")

    def __enter__(self) -> Submission:
        return self

    def __exit__(self, *_: Any) -> None:
        self._end()
        self._folder.cleanup()

    def start(self) -> None:
        """Loads the file, if it is not loaded.  raises Failed, TimedOut, Died"""
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
        limits = self.limits
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("worker.py")), str(self.path), str(limits.memory * 2**20), str(limits.total)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env={**kept, **single},
            start_new_session=True,
        )
        self._pending = b""
        loaded = self._answer(limits.start, "")
        if "failed" in loaded:
            self._end()
            raise Failed(loaded["failed"])
        self.functions = loaded["functions"]

    def call(self, function: str, arguments: tuple[Any, ...]) -> Any:
        """The function's answer: an array, or a list of arrays for a tuple.  raises Failed, TimedOut, Died"""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        text = json.dumps({"function": function, "arguments": [_portable(x) for x in arguments]}) + "\n"
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except OSError:
            raise Died(self._how_it_ended()) from None
        data = self._answer(self.limits.call, f" to answer; {function} was ended")
        if "error" in data:
            raise Failed(data["error"])
        return _value(data["value"])

    def _answer(self, seconds: float, what: str) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self._end()
                    raise TimedOut(f"more than {seconds:g} s{what}")
                part = os.read(self._process.stdout.fileno(), 2**16)
                if not part:
                    raise Died(self._how_it_ended())
                self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        data: dict[str, Any] = json.loads(line)
        self.printed = self.printed or data.get("printed", "")
        return data

    def _how_it_ended(self) -> str:
        assert self._process is not None
        status = self._process.wait()
        self._end()
        if status in (-24, -9):  # SIGXCPU, or SIGKILL behind it
            return f"the process was ended: more than {self.limits.total} s of processor time"
        return f"the process ended by itself ({f'signal {-status}' if status < 0 else f'status {status}'})"

    def _end(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        self._process = None


def _portable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": "int64" if value.dtype.kind in "iub" else "float64"}
    return value if isinstance(value, int | str) or value is None else float(value)


def _value(data: dict[str, Any]) -> Any:
    return [_value(part) for part in data["parts"]] if "parts" in data else np.array(data["array"], dtype=np.float64)
