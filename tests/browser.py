"""A headless Chromium for tests of pages: the standard library and the browser's own protocol, over a pair of pipes.

    with Browser(folder) as browser:
        page = browser.open(path, width=360, dark=True)
        page.evaluate("document.title")

`page.faults` holds what the browser complained about (exceptions, console errors, files that are missing), `page.asked` every address it fetched.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import time
from typing import Any

PATIENCE = 60.0
"""Seconds for one answer: a loaded machine starts a browser slowly."""
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars",
)  # fmt: skip
_START = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for there, pipe in zip((3, 4), pipes): os.dup2(pipe, there)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""The browser reads commands at descriptor 3 and answers at 4."""


def find_browser() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in ("chromium", "google-chrome", "chromium-browser") if (path := shutil.which(name))), None)


class Browser:
    """One browser process with a profile in `folder`."""

    def __init__(self, folder: pathlib.Path) -> None:
        path = find_browser()
        assert path is not None
        reads, self._write = os.pipe()
        self._read, writes = os.pipe()
        command = [sys.executable, "-c", _START, str(reads), str(writes), path, *OPTIONS, f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(command, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(reads)
        os.close(writes)
        self._numbers, self._buffer, self.events = itertools.count(1), b"", list[dict[str, Any]]()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)  # the browser ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def open(self, page: pathlib.Path | str, width: int = 1200, height: int = 900, *, dark: bool = False, media: str = "") -> Page:
        """The page in a file or at an address, loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        opened = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            opened.call(f"{domain}.enable")
        opened.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        opened.call("Emulation.setEmulatedMedia", media=media, features=[feature])
        opened.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.until(lambda: any(event["method"] == "Page.loadEventFired" for event in opened.events))
        return opened

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """The answer to one command; what happens meanwhile is kept in `events`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []

        def answered() -> bool:
            answers.extend(event for event in self.events if event.get("id") == number)
            return bool(answers)

        self.until(answered)
        self.events = [event for event in self.events if "method" in event]
        assert "result" in answers[0], answers[0]
        return dict(answers[0]["result"])

    def until(self, done: Any) -> None:
        """Reads messages until `done()`."""
        end = time.monotonic() + PATIENCE
        while not done():
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._read, 1 << 16)
            assert chunk, "the browser has ended"
            *whole, self._buffer = (self._buffer + chunk).split(b"\0")
            self.events += [json.loads(message) for message in whole]


class Page:
    """One open page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, as JSON knows it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, pressed and let go."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode={"Tab": 9, "Enter": 13}.get(key, 0))

    def screenshot(self, path: pathlib.Path) -> None:
        """The whole page as a PNG, for a person to look at."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for event in self.browser.events if event.get("sessionId") == self.session]

    @property
    def faults(self) -> list[str]:
        """What the browser complained about."""
        said = []
        for event in self.events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                said.append(json.dumps(told["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                said.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            elif event["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert", "warning"):
                said.append(json.dumps(told["args"]))
            elif event["method"] == "Network.loadingFailed":
                said.append(told["errorText"])
        return said

    @property
    def asked(self) -> list[str]:
        """Every address that was fetched."""
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
