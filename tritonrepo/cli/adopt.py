"""`tritonrepo adopt`: the stack file of an existing repository."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import document, say, talk
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.targets import aim, target_options
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.adopt import adopt, write
from tritonrepo.spec.lock import Lock

EPILOG = f"""\b
Examples:
  tritonrepo adopt model_repository
  tritonrepo adopt model_repository --release 24.10 --gpus 2 -o tritonrepo.yaml

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["adopt"])
@click.argument("repository", metavar="DIR|URI")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Stack file to write, with the files that it needs.  [default: stdout]",
)
@target_options
@allow_links
def command(
    repository: str,
    *,
    out: Path | None,
    links: tuple[Path, ...],
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    no_auto_complete: bool,
) -> int:
    """Write the stack file of an existing model repository.

    REPOSITORY is the directory or URI of a repository. What a build wrote becomes embedders, retrievers, generators and
    pipelines again, if a build would write the same files and equal configs. Every other model keeps its files, its
    versions and its whole config, with the comments of its fields. A build of the stack file gives the same models: it
    adds only a version_policy that selects the versions that are served now. Sources are relative to the stack file.
    """
    work = workspace(links)
    given = aim(release, image, gpus, no_auto_complete=no_auto_complete)
    found = adopt(repository, work, given, out.parent if out else Path())
    if out is None:
        document(found.text.rstrip("\n"))
        if found.files or found.lock != Lock():
            what = "the lock file" if not found.files else f"the lock file and {', '.join(sorted(found.files))}"
            talk(f"The stack file needs {what}. Use -o FILE to write all of them.")
    else:
        for path in write(out, found):
            say(f"+ {path}" + (f"  {found.models} model{'s'[: found.models != 1]}" if path == out else ""))
        talk(f"Next: tritonrepo build -f {out} -o DIRECTORY")
    return 0
