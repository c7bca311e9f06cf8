"""The pipeline of `deploy docker`: a stack or a repository becomes a plan for the files that run it in a container."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tritonrepo.deploy import docker
from tritonrepo.diagnostics import fatal
from tritonrepo.flows import deployment
from tritonrepo.flows.containers import DeployOptions, service
from tritonrepo.flows.deployed import Source, source, with_gpus
from tritonrepo.flows.deployment import Deployment, plan_files
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace

NOTHING = DeployOptions()


@reading()
def plan_deploy(  # noqa: PLR0913  as many as the command has options
    where: Path | str | Sequence[Path | str],
    out: Path | str,
    work: Workspace,
    wanted: DeployOptions = NOTHING,
    aim: Aim = declared,
    *,
    overwrite: bool = False,
) -> Deployment:
    """Return the plan that writes compose.yaml and what belongs to it for a stack, a directory or a URI.

    Nothing is written. Raise Stop if no container can run it, or if files of others are in the way.

    Args:
        where: A stack file or several, its directory, a directory of models, or the URI of a bucket.
        out: Where the files are to be written.
        work: The environment, and the receiver of progress.
        wanted: What the user decides about the server.
        aim: What makes the target.
        overwrite: Whether to replace files that somebody has changed since they were written.
    """
    out = deployment.named(out)
    found = source(where, wanted.repository, work, with_gpus(aim, {*wanted.gpu_ids}))
    apart(out, found)
    if not found.own:  # what a build reads through links is in its repository
        wanted = wanted._replace(mounts=(*wanted.mounts, *work.links))
    made, warnings = service(found, out, wanted)
    return plan_files(made.name, docker.files(made), out, warnings, overwrite=overwrite)


def apart(out: Path, found: Source) -> None:
    """Raise Stop if the files would be written into the repository, where every directory is a model."""
    if found.directory is not None and out.resolve().is_relative_to(found.directory.resolve()):
        message = f"the output directory is in the model repository {found.directory}, which the container only reads"
        raise fatal(deployment.RULE, str(out), message, "Choose a directory next to it with -o.")
