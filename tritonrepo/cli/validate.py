"""`tritonrepo validate`: the server's verdict on a repository, without a server."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.changes import Scope, scope_options
from tritonrepo.cli.checking import Checking
from tritonrepo.cli.fixing import Fixing, fixing_options
from tritonrepo.cli.forms import Forms, form_options
from tritonrepo.cli.manifests import Given, Served, stack_option
from tritonrepo.cli.settling import ended, settling_options, unused
from tritonrepo.cli.sifting import Sifting, sifting_options
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.stdin import Stdin, stdin_option
from tritonrepo.cli.targets import aim, target_options
from tritonrepo.cli.upgrading import OPTION, alone, compared
from tritonrepo.cli.values import allow_links, gpu_options
from tritonrepo.flows.settled import Plan, Settled
from tritonrepo.llm.gpus import Gpu

EPILOG = f"""\b
Examples:
  tritonrepo validate model_repository
  tritonrepo validate examples/models/rag
  tritonrepo validate models --release 24.05 --image vllm-python-py3 --gpus 2
  tritonrepo validate models --release 24.05 --upgrade-to 26.07
  tritonrepo validate models --output sarif=triton.sarif
  tritonrepo validate examples/models/seed/k8s/repaired/triton.yaml

{EXIT_CODES}"""

PATHS = ("model_repository",)


@click.command(epilog=EPILOG, short_help=COMMANDS["validate"])
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@target_options
@gpu_options
@form_options
@stdin_option
@stack_option
@fixing_options
@sifting_options
@scope_options
@settling_options
@allow_links
@click.option("--upgrade-to", metavar="YY.MM", help="Show only what changes with this Triton release.")
def command(
    paths: tuple[str, ...],
    *,
    forms: Forms,
    stdin: Stdin,
    stack: str | None,
    fixing: Fixing,
    sifting: Sifting,
    scope: Scope,
    plan: Plan,
    links: tuple[Path, ...],
    upgrade_to: str | None,
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    gpu: Gpu | None,
    gpu_memory: int | None,
    no_auto_complete: bool,
) -> int:
    """Check model repositories and predict the server's verdict, without a server or a GPU.

    All mistakes are reported in one run, each with its location and the next step; --format json adds the server's own
    reason. No model code is run. With --upgrade-to, only what changes with another release is reported, and the exit
    code is 1 if something breaks.

    PATH is the directory or URI of a repository, or a stack file or its directory. For a stack, the repository that
    build would write is checked, for the stack's own target unless options override it. PATH defaults to
    model_repository. It can also be a Kubernetes manifest or a kustomization; all of a command are checked together.
    With -, manifests are read from stdin, or with --stdin-path a config.pbtxt, as an editor sends it.

    A comment in a config.pbtxt hides findings: `# tritonrepo: ignore[NAME, NAME] reason`. After a field, it applies to
    that line; on a line of its own, to the next one; above the first field, to the whole model. In a stack file, it
    does the same for keys and the whole file. NAME is a rule's full name. The verdict does not change.

    RULE is a rule's name, a family such as scheduling, the first words of names, such as dynamic, or ALL.

    .tritonrepo.toml, in PATH or above it, has the settings of a project. They and a baseline hide findings, and never
    change a verdict.
    """
    wanted = aim(release, image, gpus, no_auto_complete=no_auto_complete, gpu=gpu, memory=gpu_memory)
    settled = Settled(work := workspace(links)._replace(remember=not scope.again), wanted, sifting.wanted, plan)
    given = partial(Given, stdin=stdin, scope=scope, work=work, served=Served(stack, gpus))
    if stdin.agrees(paths):
        scope.whole("stdin as PATH")
        fixing.alone("stdin as PATH")
    if upgrade_to is not None:
        alone(fixing, scope, plan, stdin)
        shown = compared(given(paths or PATHS).without(OPTION).paths, settled, upgrade_to, forms.plain)
        return int(not sifting.bad.isdisjoint(shown))

    if fixing.diff:
        forms.text_only("--diff")
        unused(plan._replace(baseline=None), "--diff")
        return fixing.show(scope, given(scope.paths(paths, PATHS)).without(fixing.option).others, settled)

    checking = Checking(sifting.bad)
    with forms.concluded(checking):
        check = fixing.check(scope, settled, checking)
        every = given(scope.paths(paths, PATHS)).without(fixing.option)
        for how in every.each(check):
            forms.path(checking.tried(how.name, partial(settled.check, how.name, how.judge, partly=how.partly)))
        forms.end(checking, verbose=sifting.wanted.verbose)
        fixing.end(checking, forms.form)
        checking.faults.stop()
        ended(settled, plan)
    return checking.worst
