"""A real Chromium without a window, driven by its own protocol over two pipes; the standard library alone."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """Where it is; the test skips where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or pytest.skip("no Chromium: apt-get install chromium")


class Page:
    """One page of a browser of its own, in a profile of its own, without network: every name resolves to nothing."""

    def __init__(self, url: str, folder: Path, size: tuple[int, int] = (1000, 900), *, touch: bool = False) -> None:
        read, self._write = os.pipe()
        self._read, write = os.pipe()

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
                 f"--user-data-dir={folder}", "--remote-debugging-pipe"]  # fmt: skip
        exchanged = f'exec "$@" 3<&{read} 4>&{write}'  # where Chromium expects its pipes
        self._browser = subprocess.Popen(
            ["bash", "-c", exchanged, "bash", chromium(), *flags, "about:blank"],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._number, self._text = 0, b""
        self.events: list[dict[str, Any]] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=touch
        )
        if touch:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._text:
            more = os.read(self._read, 1 << 20)
            assert more, "Chromium ended"
            self._text += more
        told, _, self._text = self._text.partition(b"\0")
        message: dict[str, Any] = json.loads(told)
        if "method" in message:
            self.events.append(message)
        return message

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is, its promise awaited."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element."""
        told = self.value(f"(({{x, y, width, height}}) => [x, y, width, height])"
                          f"(document.querySelector({selector!r}).getBoundingClientRect())")  # fmt: skip
        return tuple(told)

    def mouse(self, kind: str, x: float, y: float, *, down: bool = False) -> None:
        button = "left" if down or kind != "mouseMoved" else "none"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=int(down), clickCount=1)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in points])

    def key(self, key: str, code: str = "", *, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, modifiers=8 if shift else 0)

    def requests(self) -> list[str]:
        """Every address that was asked for; of data the beginning."""
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url[:60] if url.startswith("data:") else url for url in asked]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._write)
        try:
            self._browser.wait(5)
        except subprocess.TimeoutExpired:
            self._browser.kill()
            self._browser.wait()
        os.close(self._read)
