"""A few series of a server's metrics, looked at again and again beside a load that must not feel it.

The thread of an event loop waits while another thread computes, up to 5 ms at a time (`sys.getswitchinterval`). So the
text is searched in pieces, each well under a millisecond, with a pause after each, and only what is found is parsed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from tritonrepo.diagnostics import Stop
from tritonrepo.server import metrics
from tritonrepo.server.client import Client
from tritonrepo.server.metrics import Scrape

PIECE, LINES, NAP_S = 1 << 18, 50, 0.001
"""How much of a text is searched, and how many lines are parsed, without a pause."""

EVERY_S, SHARE = 1.0, 20
"""How often is looked, in seconds; a look takes at most one part in so many of the time between two."""

JOIN_S = 1.0
"""How long the end waits for a look that is going on."""


def lines(body: bytes, names: Iterable[str]) -> Iterator[bytes]:
    """Yield the lines that begin with one of these names, or with a longer name that begins alike."""
    body = b"\n" + body
    for name in names:
        sought = b"\n" + name.encode()
        for start in range(0, len(body), PIECE):
            before = start + PIECE + len(sought) - 1
            at = body.find(sought, start, before)
            while at >= 0:
                end = body.find(b"\n", at + 1)
                end = len(body) if end < 0 else end
                yield body[at + 1 : end]
                at = body.find(sought, end, before)
            if len(body) > PIECE:
                time.sleep(NAP_S)


def few(client: Client, names: Iterable[str]) -> Scrape:
    """Return what the metrics say of these series now; raise Stop if they cannot be read."""
    found: dict[str, dict[metrics.Labels, float]] = {}
    text = [*lines(metrics.content(client), names)]
    for start in range(0, len(text), LINES):
        several = text[start : start + LINES]
        for name, series in metrics.parsed(b"\n".join(several).decode("utf-8", "replace"), client.url).items():
            found.setdefault(name, {}).update(series)
        if len(text) > LINES:
            time.sleep(NAP_S)
    return Scrape(client.url, found)


def pause(took_s: float) -> float:
    """Return how many seconds to wait after a look that took so long."""
    return max(EVERY_S, SHARE * took_s)


class Sampler:
    """A thread that looks at a few series every second, or less often where a look takes long, and passes them on."""

    def __init__(self, client: Client, names: Iterable[str], hear: Callable[[Scrape], None]) -> None:
        self.looks = self.failed = 0
        self.longest_s = 0.0
        """The longest time between two looks."""
        self.why = ""
        """Why the last look that failed did so."""
        self._client, self._names, self._hear = client, tuple(names), hear
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._looking, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        self._client.abort()

    def _looking(self) -> None:
        pause_s = EVERY_S
        while not self._over.wait(pause_s):
            self.longest_s = max(self.longest_s, pause_s)
            began = time.monotonic()
            try:
                self._hear(few(self._client, self._names))
                self.looks += 1
            except Stop as stop:
                if not self._over.is_set():
                    self.failed, self.why = self.failed + 1, stop.diagnostics[0].message
            pause_s = pause(time.monotonic() - began)
