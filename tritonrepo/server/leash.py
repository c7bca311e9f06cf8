"""Our end of the pipe to the keeper: the server lives as long as it is open, and whatever closes it ends the server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import fatal
from tritonrepo.server import keeper, leftovers


class Leash:
    """The running keeper (see `keeper`), the temporary directory it made, and the server it was told to start."""

    home: Path

    def __init__(self) -> None:
        # A separate session: the terminal's Ctrl-C is for us, and we decide when the server ends.
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.home = Path(self._hear("home"))
        except BaseException:
            self.release()
            raise

    @property
    def session(self) -> int:
        """The keeper's process id, which is also the session id of the server and its stubs."""
        return self._keeper.pid

    def start(self, argv: Sequence[str], env: Mapping[str, str], *, log: Path, grace_s: float, about: str = "") -> int:
        """Start the server and return its process id; its stdout and stderr go to the log.

        `about` says what is served, for whoever finds what a killed run left.
        """
        order = {"argv": list(argv), "env": dict(env), "log": str(log), "grace_s": grace_s, "about": about}
        self._say(json.dumps(order))
        return int(self._hear("pid"))

    def ready(self) -> None:
        """Make the server's end an orderly one from now on: it has `grace_s` to finish what it is doing."""
        self._say("ready")

    def exit_code(self) -> int | None:
        """Return the server's exit code, negative for a signal's number; None while it runs."""
        if self._keeper.poll() is not None:
            return -9  # a killed keeper's server is killed with it
        try:
            return int((self.home / "exited").read_text(encoding="ascii"))
        except FileNotFoundError:
            return None

    def release(self) -> None:
        """End the server and its processes, remove its shared memory and temporary directory, and wait for that.

        What a killed keeper could not do is done here.

        An interrupt in the meantime kills what is being ended in order, and is raised once everything is gone, so that
        callers can rely on that.
        """
        assert self._keeper.stdin  # noqa: S101  it is a pipe
        assert self._keeper.stdout  # noqa: S101
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                with suppress(BrokenPipeError):
                    self._keeper.stdin.close()
                self._keeper.wait()
                break
            except KeyboardInterrupt as error:
                interrupt = error
                self._keeper.terminate()
        self._keeper.stdout.close()
        if self._keeper.returncode and hasattr(self, "home"):
            leftovers.remove(self.home)
        if interrupt is not None:
            raise interrupt

    def _say(self, line: str) -> None:
        assert self._keeper.stdin  # noqa: S101
        try:
            self._keeper.stdin.write(line.encode() + b"\n")
            self._keeper.stdin.flush()
        except BrokenPipeError as error:
            raise fatal("server-keeper", "server", "the process that supervises the server has exited") from error

    def _hear(self, key: str) -> Any:  # noqa: ANN401  JSON
        assert self._keeper.stdout  # noqa: S101
        line = self._keeper.stdout.readline()
        said = json.loads(line) if line else {}
        if key not in said:
            why = said.get("error") or f"it exited with code {self._keeper.wait()}"
            hint = "Set TMPDIR to a writable directory." if "error" in said else "Start the server again."
            raise fatal("server-keeper", "server", f"the process that supervises the server failed: {why}", hint)
        return said[key]
