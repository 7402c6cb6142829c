"""Chromium, headless, opening a page whose script tells the server what it has seen."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import UNPACKED, environment, program
from websockets.sync.client import connect

__all__ = ["Page", "driven", "opening"]

_PATIENCE = 60.0


def _binary() -> str:
    unpacked = UNPACKED / "usr/lib/chromium/chromium"
    found = unpacked if unpacked.exists() else program("chromium")
    if found is None:
        pytest.skip("needs the chromium command")
    return str(found)


@contextlib.contextmanager
def opening(url: str, *words: str, profile: Path | None = None) -> Iterator[None]:
    """Open a page while the context is open. `profile`: where the browser keeps what it knows."""
    binary = _binary()
    variables = environment() if binary.startswith(str(UNPACKED)) else dict(os.environ)
    if "LD_LIBRARY_PATH" in variables:
        libraries = variables["LD_LIBRARY_PATH"]
        variables["LD_LIBRARY_PATH"] = f"{libraries}:{libraries}/pulseaudio"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        variables["HOME"] = home
        command = [
            binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={profile or Path(home) / 'profile'}", "--disable-background-networking", *words, url,
        ]  # fmt: skip
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait(20)


class Page:
    """A page that a test drives as a person would, by the DevTools protocol."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._last = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._last += 1
        self._connection.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=_PATIENCE))
            if message.get("id") == self._last:
                if "error" in message:
                    raise RuntimeError(message["error"]["message"])
                result: dict[str, Any] = message["result"]
                return result

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript is."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _PATIENCE
        while not self._is_true(expression):
            assert time.monotonic() < until, f"{expression} never became true; the page says: {self.text('body')}"
            time.sleep(0.02)

    def _is_true(self, expression: str) -> bool:
        try:
            return bool(self.value(f"!!({expression})"))
        except RuntimeError:  # the page is being loaded
            return False

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Click in the middle of an element, with the mouse."""
        where = self.value(
            f"""(() => {{ const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{block: "center"}});
            const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.command("Input.insertText", text=text)

    def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press a key, by its name and its number in Windows; `modifiers`: 2 is Ctrl."""
        text = {"text": "\r"} if key == "Enter" and not modifiers else {}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.command("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.command("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self) -> bytes:
        """Return what the page looks like, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", captureBeyondViewport=True)["data"])


@contextlib.contextmanager
def driven(url: str) -> Iterator[Page]:
    """Open a page and drive it while the context is open."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = Path(folder) / "profile"
        with opening(url, "--remote-debugging-port=0", "--window-size=1200,900", profile=profile):
            port = _port(profile / "DevToolsActivePort")
            with connect(_socket_of_page(port, url), max_size=None) as connection:
                yield Page(connection)


def _port(file: Path) -> int:
    until = time.monotonic() + _PATIENCE
    while not (file.exists() and "\n" in file.read_text()):
        assert time.monotonic() < until, "the browser does not listen"
        time.sleep(0.02)
    return int(file.read_text().splitlines()[0])


def _socket_of_page(port: int, url: str) -> str:
    until = time.monotonic() + _PATIENCE
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_PATIENCE) as response:
            pages = [one for one in json.load(response) if one["type"] == "page" and one["url"].startswith(url)]
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        assert time.monotonic() < until, "the browser does not open the page"
        time.sleep(0.02)
