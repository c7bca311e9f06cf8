"""`tritonrepo serve`: the real Triton core on this machine's CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.interrupts import stoppable
from tritonrepo.cli.output import say, talk
from tritonrepo.cli.serving import options, tell, urls, watch
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.serve import ServeOptions, banner, read_record, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.launch import Mode
from tritonrepo.server.process import Server
from tritonrepo.stores import is_remote

EPILOG = f"""\b
Examples:
  tritonrepo serve model_repository
  tritonrepo serve /srv/models --http-port 0 --grpc-port 0 --metrics-port 0
  tritonrepo serve model_repository --poll 2 --llm-engine script
  tritonrepo serve model_repository --release 24.05
  tritonrepo serve s3://http://127.0.0.1:9000/models/prod --poll 5

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["serve"])
@click.argument("repository")
@click.option(
    "--poll", type=click.IntRange(1), metavar="SECONDS", help="Check the repository for changes every SECONDS seconds."
)
@click.option("--explicit", is_flag=True, help="Load models only when a client requests it.")
@allow_links
@options
def command(
    repository: str,
    *,
    poll: int | None,
    explicit: bool,
    links: tuple[Path, ...],
    chosen: ServeOptions,
) -> int:
    """Serve a model repository with the real Triton core on this machine's CPU, without Docker, a GPU or root.

    REPOSITORY is a directory, or an s3:// or gs:// URI, which the server reads by itself.

    Stand-ins with the same contract replace the backends that the CPU server lacks, and are listed at startup. The URLs
    are printed on stdout once every model has loaded. If a model does not load, the command fails; with --poll or
    --explicit, it reports the model and serves the others. A model of another backend that the target's images have,
    such as pytorch, is reported and left out. With --watch, models whose files change are checked and reloaded, and the
    others serve on. Ctrl-C stops the server.
    """
    if poll and explicit:
        raise click.UsageError("--poll and --explicit cannot be combined: Triton has one model control mode")
    if chosen.watched and (poll or explicit or is_remote(repository)):
        raise click.UsageError("--watch is for a directory, and cannot be combined with --poll and --explicit")
    mode = Mode.POLL if poll else Mode.EXPLICIT if explicit else Mode.ONCE
    work = workspace(links)
    record = read_record(repository, work)
    chosen = chosen._replace(mode=mode, poll_s=poll or 5)
    where = repository if is_remote(repository) else Path(repository)
    with stoppable(), serve(where, chosen, work, record) as server:
        talk(*banner(server, record, chosen.engine))
        for fault in server.unavailable:
            say(*fault.lines, err=True)
        say(*urls(server))
        return watch(server, _reloading(server, chosen, work) if chosen.watched else lambda: False)


def _reloading(server: Server, chosen: ServeOptions, work: Workspace) -> Callable[[], bool]:
    """Return the function that reloads what changed, and says so."""
    from tritonrepo.flows.reloading import repository_watch, told

    watching = repository_watch(server, chosen, work)

    def reload() -> bool:
        for each in told(watching.changes()):
            tell(each)
        return watching.down

    return reload
