"""Runs the gateway's web server in a thread, and ends it in order: what runs is finished, nothing new is begun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import closest, fatal, uninstalled
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.gateway.gate import Gate, GatewayOptions
from tritonrepo.server.calls import Calls
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.ports import listener

if TYPE_CHECKING:
    import uvicorn

SPARE = 512
"""Connections beside those that run and wait: idle ones, and probes."""

START_S = 10.0
CUT_S = 2.0
"""How long requests that were cut have to say so, and the thread to end."""


class Opened:
    """A gateway that is served, and its URL."""

    def __init__(self, url: str, thread: threading.Thread) -> None:
        self.url, self.thread = url, thread

    def alive(self) -> bool:
        """Return whether it is still served."""
        return self.thread.is_alive()


@contextmanager
def gateway(server: Endpoint, options: GatewayOptions | None = None) -> Iterator[Opened]:
    """Serve an OpenAI front end of a server as long as the context lasts, then drain it.

    Raise Stop if the address of the server is not valid, if the port is taken, or if a library is missing.
    """
    chosen = options or GatewayOptions()
    needed()
    gates: list[Gate] = []
    started = threading.Event()

    def told(gate: Gate) -> None:
        gates.append(gate)
        started.set()

    web = _server(Calls(server), chosen, told)
    with listener(chosen.port, chosen.host) as here:
        thread = threading.Thread(target=web.run, args=([here],), daemon=True)
        thread.start()
        started.wait(START_S)
        try:
            yield Opened(_url(*here.getsockname()[:2]), thread)
        finally:
            _end(web, thread, gates, chosen.drain_s)


def declared(stack: Path, work: Workspace, only: Collection[str] | None) -> frozenset[str]:
    """Return the models and pipelines of a stack, of these only some; raise Stop if it lacks one of them."""
    found = load(stack, work).stack
    names = frozenset({*found.models, *found.ensembles})
    for name in sorted(only or ()):
        if name not in names:
            message = f'the stack has no model or pipeline "{name}"'
            raise fatal("gateway-model", found.places[""], message, closest(name, sorted(names)))
    return frozenset(only) if only else names


def _end(web: uvicorn.Server, thread: threading.Thread, gates: list[Gate], drain_s: float) -> None:
    try:
        for gate in gates:
            gate.drain()
            if not gate.idle.wait(drain_s):
                gate.cut()
                gate.idle.wait(CUT_S)
    finally:
        web.should_exit = True  # it closes idle connections, and the one to Triton
        thread.join(CUT_S)
        web.force_exit = True
        thread.join(CUT_S)


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def needed() -> None:
    """Raise Stop if a library is missing that the gateway needs."""
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise uninstalled("gateway", "the gateway needs starlette and uvicorn", error) from None
    del starlette, uvicorn


def _server(calls: Calls, options: GatewayOptions, told: Callable[[Gate], None]) -> uvicorn.Server:
    import uvicorn

    from tritonrepo.gateway import patience
    from tritonrepo.gateway.app import application

    return uvicorn.Server(
        uvicorn.Config(
            application(calls, options, told),
            http=patience.Impatient,
            timeout_keep_alive=patience.KEEP_S,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=options.concurrency + options.queue + SPARE,
        )
    )
