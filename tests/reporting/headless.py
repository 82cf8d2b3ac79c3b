"""A page opened in headless Chromium over its debugging pipe: what it asked for, what it said, what it shows."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-pipe",
)


class Browser:
    """One Chromium process. `open(page)` gives a `Tab`."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="initlab-chromium-")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def at_three_and_four() -> None:
            ends = os.dup(to_browser), os.dup(from_browser)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *_FLAGS, f"--user-data-dir={self._profile}"],
            preexec_fn=at_three_and_four,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._last, self.events = b"", 0, []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events that come in between are kept."""
        self._last = own = self._last + 1
        message = {"id": own, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self._next(deadline)
            if answer.get("id") == own:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
        raise TimeoutError(method)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("no answer from the browser")
            piece = os.read(self._read, 2**20)
            if not piece:
                raise RuntimeError("the browser has gone")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                self._last += 1
                answer = {"id": self._last, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                os.write(self._write, json.dumps(answer | {"sessionId": message["sessionId"]}).encode() + b"\0")
        return message

    def open(self, page: Path, *, width: int = 1400, dark: bool = False) -> Tab:
        self.events.clear()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable", session)
        tab = Tab(self, session, target)
        tab.seen_in(width=width, dark=dark)
        self.call("Page.navigate", session, url=page.resolve().as_uri())
        deadline = time.monotonic() + 60
        while tab.run("document.readyState") != "complete" and time.monotonic() < deadline:
            time.sleep(0.05)
        return tab

    def close(self) -> None:
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        os.close(self._read)
        shutil.rmtree(self._profile, ignore_errors=True)


class Tab:
    """One open page."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target

    def seen_in(self, *, width: int, dark: bool) -> None:
        """From now on in a window of that width and in that theme."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._browser.call("Emulation.setEmulatedMedia", self._session, features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._browser.call("Emulation.setDeviceMetricsOverride", self._session, **size)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self._browser.call(
            "Runtime.evaluate", self._session, expression=expression, returnByValue=True, awaitPromise=True
        )
        return answer["result"].get("value")

    def seen(self, method: str) -> list[dict[str, Any]]:
        """The events of that kind so far."""
        return [e["params"] for e in self._browser.events if e["method"] == method]

    def requests(self) -> list[str]:
        """Every address that the page asked for, itself and data inside it left out."""
        asked = [e["request"]["url"] for e in self.seen("Network.requestWillBeSent")]
        return [url for url in asked if not url.startswith(("file://", "data:", "about:", "blob:"))]

    def trouble(self) -> list[str]:
        """Exceptions, and log entries of level error (a blocked request is one)."""
        thrown = [
            str(e["exceptionDetails"].get("exception", {}).get("description"))
            for e in self.seen("Runtime.exceptionThrown")
        ]
        return thrown + [e["entry"]["text"] for e in self.seen("Log.entryAdded") if e["entry"]["level"] == "error"]

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser that the tests of one file share."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: pages are not opened in a browser")
    opened = Browser()
    try:
        yield opened
    finally:
        opened.close()
