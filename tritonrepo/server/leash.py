"""Our end of the pipe to the keeper: as long as it is open the server lives, and whatever closes it ends the server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import fatal
from tritonrepo.server import keeper


class Leash:
    """The running keeper (see `keeper`), the temporary directory it made, and the server it was told to start."""

    home: Path

    def __init__(self) -> None:
        # A session of its own: the terminal's Ctrl-C is for us, and the server's end is our decision.
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
        """The keeper's process id, which is the session id of the server and its stubs as well."""
        return self._keeper.pid

    def start(self, argv: Sequence[str], env: Mapping[str, str], *, log: Path, grace_s: float) -> int:
        """Start the server and give its process id; both its outputs go into the log."""
        self._say(json.dumps({"argv": list(argv), "env": dict(env), "log": str(log), "grace_s": grace_s}))
        return int(self._hear("pid"))

    def ready(self) -> None:
        """From here on the server's end is an orderly one: until `grace_s` are over it may finish what it does."""
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
        """End the server, its processes, its shared memory and the temporary directory, and wait for that.

        An interrupt that comes meanwhile is raised once all is gone: whoever waits for us may count on that.
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
        self._keeper.stdout.close()
        if interrupt is not None:
            raise interrupt

    def _say(self, line: str) -> None:
        assert self._keeper.stdin  # noqa: S101
        try:
            self._keeper.stdin.write(line.encode() + b"\n")
            self._keeper.stdin.flush()
        except BrokenPipeError as error:
            raise fatal("server-keeper", "server", "the process that keeps the server has ended") from error

    def _hear(self, key: str) -> Any:  # noqa: ANN401  JSON
        assert self._keeper.stdout  # noqa: S101
        line = self._keeper.stdout.readline()
        said = json.loads(line) if line else {}
        if key not in said:
            why = said.get("error") or f"it ended with code {self._keeper.wait()}"
            hint = "Set TMPDIR to a directory that can be written" if "error" in said else "Start again"
            raise fatal("server-keeper", "server", f"the process that keeps the server cannot work: {why}", hint)
        return said[key]
