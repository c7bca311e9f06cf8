"""A pod of a manifest on this machine: the real server with its command, and the probes as a kubelet asks them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritonrepo.server import staging
from tritonrepo.server.launch import PREFIX, Launch, backends_path, environment, log_path
from tritonrepo.server.leash import Leash
from tritonrepo.server.ports import HOST, Ports, choose
from tritonrepo.server.runtime import find

STARTS_S = 120
PATIENCE = {"startupProbe": 0.1, "livenessProbe": 0.1, "readinessProbe": 0.1}
"""Seconds between two questions: a kubelet waits periodSeconds, which a test need not."""


@dataclass
class Pod:
    """A running container of a manifest; `failures` counts those of each probe since its last success."""

    container: Mapping[str, Any]
    ports: Ports
    pid: int
    leash: Leash
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def http(self) -> str:
        """The URL that takes the place of http://127.0.0.1:8000."""
        return f"http://{HOST}:{self.ports.http}"

    @property
    def grpc(self) -> str:
        """The address of gRPC."""
        return f"{HOST}:{self.ports.grpc}"

    def ask(self, name: str) -> bool:
        """Ask a probe once."""
        probe = self.container[name]
        http = "httpGet" in probe
        passed = answered(self.container, probe, {8000: self.http}) if http else self._exec(probe)
        self.failures[name] = 0 if passed else self.failures.get(name, 0) + 1
        return passed

    def passes(self, name: str) -> bool:
        """Ask a probe until it succeeds, or has failed as often as the manifest allows in a row."""
        while not self.ask(name) and self.failures[name] < self.container[name]["failureThreshold"]:
            time.sleep(PATIENCE[name])
        return not self.failures[name]

    def started(self) -> None:
        """Wait for the probe of the start, as long as the process lives."""
        deadline = time.monotonic() + STARTS_S
        while not self.ask("startupProbe"):
            log = log_path(self.leash.home)
            assert self.leash.exit_code() is None, log.read_text("utf-8", "replace")[-3000:]
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(PATIENCE["startupProbe"])
        self.leash.ready()

    def children(self) -> list[int]:
        """Return the processes of Python models."""
        return [int(each) for each in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def terminate(self) -> None:
        """Ask the container to end, as the kubelet does after preStop."""
        os.kill(self.pid, signal.SIGTERM)

    def ended(self) -> int:
        """Wait for the end within the grace period, of which preStop has taken its part, and return the exit code."""
        deadline = time.monotonic() + STARTS_S
        while (code := self.leash.exit_code()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert code is not None, "the server does not end"
        return code

    def _exec(self, probe: Mapping[str, Any]) -> bool:
        words = [self._here(word) for word in probe["exec"]["command"]]
        with suppress(subprocess.TimeoutExpired):
            return (
                subprocess.run(words, check=False, capture_output=True, timeout=probe["timeoutSeconds"]).returncode == 0
            )
        return False

    def _here(self, word: str) -> str:
        """In the container, the server is process 1 and listens on its own ports."""
        return word.replace("http://127.0.0.1:8000", self.http).replace(" Z 1 ", f" Z {self.pid} ")


def answered(container: Mapping[str, Any], probe: Mapping[str, Any], urls: Mapping[int, str]) -> bool:
    """Ask a probe of HTTP once; `urls` take the places of the container's ports.

    A status from 200 to 399 is a success. Source: kubernetes.io/docs/reference/config-api, HTTPGetAction.
    """
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    url = urls[named[probe["httpGet"]["port"]]] + probe["httpGet"]["path"]
    try:
        with urllib.request.urlopen(url, timeout=probe["timeoutSeconds"]) as answer:
            return bool(200 <= answer.status < 400)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


@contextmanager
def pod(container: Mapping[str, Any], places: Mapping[str, Path]) -> Iterator[Pod]:
    """Start the container of a manifest; `places` are the directories of this machine for those of its volumes."""
    mounted = {each["mountPath"] for each in container["volumeMounts"]} - {"/dev/shm"}
    assert mounted == {*places}
    runtime, ports, leash = find(), choose(Ports()), Leash()
    try:
        staging.backends(runtime, {}, backends_path(leash.home))
        program, *arguments = (_mapped(word, places) for word in container["args"])
        assert program == "tritonserver"
        mine = [f"--backend-directory={backends_path(leash.home)}", f"--backend-config={PREFIX}{leash.home.name}-"]
        for name, port in ports._asdict().items():
            mine += [f"--{name}-address={HOST}", f"--{name}-port={port}"]
        own = {each["name"]: _mapped(each["value"], places) for each in container["env"] if "value" in each}
        env = environment(Launch("", runtime), leash.home) | own
        grace = container_grace(container)
        log = staging.emptied(log_path(leash.home))
        pid = leash.start([str(runtime.server), *arguments, *mine], env, log=log, grace_s=grace)
        yield Pod(container, ports, pid, leash)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # an end that is tested is over by now
    finally:
        leash.release()


def container_grace(container: Mapping[str, Any]) -> float:
    """Return the seconds that the server itself takes at most to end."""
    (flag,) = (each for each in container["args"] if each.startswith("--exit-timeout-secs="))
    return float(flag.partition("=")[2])


def _mapped(word: str, places: Mapping[str, Path]) -> str:
    flag, found, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
    for place, here in places.items():
        if value == place or value.startswith(f"{place}/"):
            value = f"{here}{value.removeprefix(place)}"
            break
    return f"{flag}{found}{value}"
