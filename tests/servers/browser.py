"""Headless Chromium, driven by its DevTools protocol over a pipe: JSON messages that end in a zero byte.

Source: chrome's --remote-debugging-pipe, which reads from descriptor 3 and writes to descriptor 4 (content/browser/
devtools/devtools_pipe_handler.cc), and https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-proxy-server", "--hide-scrollbars"),
)
WAIT_S = 60
"""How long anything may take on a busy machine."""


class Tab:
    """A page of a browser; `requests`: every URL that it requested, `errors`: what its console said of faults."""

    def __init__(self, process: subprocess.Popen[bytes], reads: int, writes: int) -> None:
        self._process, self._reads, self._writes = process, reads, writes
        self._rest, self._number = b"", 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        (target,) = [each for each in self._send("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        attached = {"targetId": target["targetId"], "flatten": True}
        self._session = self._send("Target.attachToTarget", attached, session=False)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **given: object) -> Any:  # noqa: ANN401  JSON
        """Return what a method of the protocol returns."""
        return self._send(method, given)

    def open(self, url: str) -> None:
        """Load a page of another address, or the same anew."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:  # noqa: ANN401  JSON
        """Return the value of an expression; a promise is waited for."""
        said = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def until(self, script: str) -> Any:  # noqa: ANN401  JSON
        """Return the value of an expression once it is true; the page is asked again with each frame."""
        frames = f"new Promise(done => {{ const look = () => {{ let it; try {{ it = {script} }} catch {{}} "
        frames += "it ? done(it) : setTimeout(look, 10) }; look() })"
        return self.run(frames)

    def press(self, key: str, **more: object) -> None:
        """Press and release a key."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            about = {"key": key, "windowsVirtualKeyCode": codes[key], "text": text if kind == "keyDown" else ""}
            self.send("Input.dispatchKeyEvent", type=kind, **about, **more)

    def write(self, text: str) -> None:
        """Insert a text where the focus is."""
        self.send("Input.insertText", text=text)

    def picture(self, path: Path, width: int = 1200, height: int = 900, *, dark: bool = False) -> None:
        """Write what a window of this size shows, down to the page's end."""
        self.shape(width, height, dark=dark)
        said = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(said["data"]))

    def shape(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the window this large, and its system light or dark."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)

    def _send(self, method: str, given: object = None, *, session: bool = True) -> Any:  # noqa: ANN401  JSON
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": given or {}}
        if session and hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said["error"]
                return said["result"]
            self._heard(said)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while b"\0" not in self._rest:
            assert select.select([self._reads], [], [], deadline - time.monotonic())[0], "the browser says nothing"
            got = os.read(self._reads, 1 << 16)
            assert got, f"the browser ended with exit code {self._process.wait()}"
            self._rest += got
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _heard(self, said: dict[str, Any]) -> None:
        about = said.get("params", {})
        match said.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(about["exceptionDetails"]["exception"].get("description", "an exception"))
            case "Log.entryAdded" if about["entry"]["level"] == "error":
                self.errors.append(about["entry"]["text"])


@contextmanager
def chromium(place: Path) -> Iterator[Tab]:
    """Run the browser with an empty profile; skip where it is not installed, which CI reports as a failure."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    to_browser, from_browser = os.pipe(), os.pipe()
    command = [program, *OPTIONS, f"--user-data-dir={place}", "about:blank"]
    # the browser expects its ends at 3 and 4, wherever they are here
    ends = f'exec 3<&{to_browser[0]} 4>&{from_browser[1]}; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", ends, "bash", *command],
        pass_fds=(to_browser[0], from_browser[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(place)},
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Tab(process, from_browser[0], to_browser[1])
    finally:
        os.close(to_browser[1])  # the browser ends when its pipe does
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser[0])
