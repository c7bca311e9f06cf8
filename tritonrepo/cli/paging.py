"""The page in the browser, for `ui` and `up --ui`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tritonrepo.cli.output import say
from tritonrepo.flows.graph import drawable
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.ui.serving import Page, served
from tritonrepo.ui.work import Work

WHOLE_S = 120.0
"""Maximum wait for a whole answer, unless something else is said."""


@contextmanager
def paged(server: Endpoint, where: str | None, work: Workspace, port: int = 0) -> Iterator[Page]:
    """Serve the page of a server as long as the context lasts, and print its URL.

    `where` is the stack or repository that the server serves, if it is known.
    """
    known = {} if where is None else {each.name: each for each in drawable(where, work)}
    if server.whole_s is None:
        server = replace(server, timeout_s=WHOLE_S, whole_s=WHOLE_S)
    with served(Work(server, known), port) as page:
        say(f"page     {page.url}")
        yield page
