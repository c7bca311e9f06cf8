"""Runs the page's web server in a thread, on this machine's own address alone."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import uninstalled
from tritonrepo.flows.graph import drawable
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.ports import HOST, listener
from tritonrepo.ui.work import Work

if TYPE_CHECKING:
    import uvicorn

CONNECTIONS = 64
WHOLE_S = 120.0
"""Maximum wait for a whole answer, unless the endpoint has another."""

END_S = 1.0
"""How long the end of the page waits for its thread."""


class Page:
    """A page that is served: its URL with the token, which the browser keeps to itself."""

    def __init__(self, port: int, token: str, thread: threading.Thread) -> None:
        self.url, self.thread = f"http://{HOST}:{port}/#{token}", thread

    def alive(self) -> bool:
        """Return whether it is still served."""
        return self.thread.is_alive()


@contextmanager
def served(work: Work, port: int = 0) -> Iterator[Page]:
    """Serve the page as long as the context lasts; raise Stop if the port is taken or a library is missing."""
    token = secrets.token_urlsafe(24)
    server = _server(work, token)
    with listener(port) as here:
        thread = threading.Thread(target=server.run, args=([here],), daemon=True)
        thread.start()
        try:
            yield Page(here.getsockname()[1], token, thread)
        finally:
            server.should_exit = server.force_exit = True
            thread.join(END_S)


def ui(server: Endpoint, where: Path | str | None, work: Workspace, port: int = 0) -> AbstractContextManager[Page]:
    """Serve the page of a server as long as the context lasts; port 0 means any free port.

    `where` is the stack or repository that the server serves, if it is known: it has the steps of Python models. Raise
    Stop if it cannot be read, if the port is taken, or if a library is missing.
    """
    needed()
    known = {} if where is None else {each.name: each for each in drawable(where, work)}
    if server.whole_s is None:
        server = replace(server, timeout_s=WHOLE_S, whole_s=WHOLE_S)
    return served(Work(server, known), port)


def needed() -> None:
    """Raise Stop if a library is missing that the page needs."""
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise uninstalled("ui", "the page needs starlette and uvicorn", error) from None
    del starlette, uvicorn


def _server(work: Work, token: str) -> uvicorn.Server:
    needed()
    import uvicorn

    from tritonrepo.ui.app import application

    return uvicorn.Server(
        uvicorn.Config(
            application(work, token),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
        )
    )
