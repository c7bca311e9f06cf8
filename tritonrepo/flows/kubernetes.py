"""The pipeline of `deploy k8s`: a stack or a repository becomes a plan for manifests of Kubernetes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.deploy.endpoints import variables
from tritonrepo.deploy.engines import engines
from tritonrepo.deploy.environment import MOUNTS
from tritonrepo.deploy.kube import kserve, manifests
from tritonrepo.deploy.kube.serving import Serving
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.kube.workload import of_stack
from tritonrepo.deploy.needs import asked, outside, shared_memory, start
from tritonrepo.deploy.service import MODELS, Control, Gpus, Ports, Reads, Runs, Service
from tritonrepo.diagnostics import Diagnostic, Severity, Span, fatal
from tritonrepo.flows import deployment
from tritonrepo.flows.calling import calling
from tritonrepo.flows.containers import POLL_S, refused, runs, taken, unreachable, written
from tritonrepo.flows.deploy import apart
from tritonrepo.flows.deployed import Source, source, with_product
from tritonrepo.flows.deployment import Deployment, plan_files
from tritonrepo.flows.frozen import frozen, is_revision
from tritonrepo.flows.gpu_room import holds, in_triton, misfits
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores import is_remote, open_store
from tritonrepo.tree import within

HEADER = "# Written by tritonrepo deploy k8s, as tritonrepo image prints it."
CLAIM = re.compile(r"pvc://([a-z0-9][a-z0-9.-]{0,252})((?:/[^/\s]+)*)/?")
REVISION = re.compile(r"@[0-9]+$")
PLACE = "deploy-place"


class KubeOptions(NamedTuple):
    """What the user decides: the pods, where they read models, and when they load them; None for the usual.

    `uri` is "" for a URI that is deployed itself. `repository` is the directory that a stack is built into. `again` is
    the command that is written down; "" for the shortest one. `kserve`: KServe makes the pods, and copies the models.
    `gateway` is the image of a gateway in front of the pods, "" for none.
    """

    wanted: Wanted = Wanted()
    uri: str = ""
    control: Control | None = None
    repository: Path = Path("model_repository")
    again: str = ""
    kserve: bool = False
    gateway: str = ""


class Place(NamedTuple):
    """Where pods read models: what the server is given, and the claim that is mounted for it, "" for a bucket."""

    models: str
    claimed: str = ""

    @property
    def scheme(self) -> str:
        """The kind of bucket; "" for a claim."""
        return "" if self.claimed else self.models.partition("://")[0]


NOTHING = KubeOptions()


@reading()
def plan_k8s(  # noqa: PLR0913  as many as the command has options
    where: Path | str | Sequence[Path | str],
    out: Path | str,
    work: Workspace,
    options: KubeOptions = NOTHING,
    aim: Aim = declared,
    *,
    overwrite: bool = False,
) -> Deployment:
    """Return the plan that writes manifests of Kubernetes for a stack, a directory, a URI or `URI@N`.

    Nothing is written. Raise Stop if no pod can serve it, or if files of others are in the way.

    Args:
        where: A stack file or several, its directory, a directory of models, or the URI of a bucket or a revision.
        out: Where the files are to be written.
        work: The environment, and the receiver of progress.
        options: What the user decides.
        aim: What makes the target.
        overwrite: Whether to replace files that somebody has changed since they were written.
    """
    out = deployment.named(out)
    product = options.wanted.product
    found, place = _found(where, work, options, with_product(aim, product))
    apart(out, found)
    written(place.models, *(path for _, path in options.wanted.volumes))
    rooms = [*in_triton(found, product)]
    serving = _serving(found, place, out, options)._replace(holds=holds(found, rooms))
    tight = [said for given, room in rooms for said in misfits(given, room, certain=bool(product))]
    reached = calling(found.found, found.where, serving.name, options.wanted.namespace)
    doubts = (*tight, *_outside(found, options.wanted), *unreachable(place.models, "pod"), *reached, *_blind(serving))
    about = (*found.warnings, *refused(found, product), *doubts)
    files = kserve.files(serving) if options.kserve else manifests.files(serving)
    return plan_files(serving.name, files, out, about, overwrite=overwrite)


def _found(
    where: Path | str | Sequence[Path | str], work: Workspace, options: KubeOptions, aim: Aim
) -> tuple[Source, Place]:
    """Return the models, and where pods read them."""
    control = options.control
    if isinstance(where, str) and is_revision(where):
        if options.uri or (control and control.changes):
            message = "a revision never changes, and has a place of its own"
            raise fatal(PLACE, where, message, "Leave out --uri, --pushable, --poll and --explicit, or the revision.")
        made = frozen(where, aim)
        return made, Place(made.uri)
    made = source(where, options.repository, work, aim)
    made = made._replace(warnings=tuple(each for each in made.warnings if each.rule != "deploy-not-built"))
    return made, _place(made, options)


def _place(made: Source, options: KubeOptions) -> Place:
    if made.uri:
        if options.uri:
            message = "the repository is at a URI already, from which the pods read it"
            raise fatal(PLACE, made.where, message, "Leave out --uri. It is for a stack or a directory.")
        return Place(made.uri)
    if not options.uri:
        message = "pods cannot read a directory of this machine"
        hint = (
            "Name a bucket with `--uri s3://BUCKET/PREFIX`, and push there, or a claim with `--uri pvc://CLAIM/PATH`."
        )
        raise fatal(PLACE, made.where, message, hint)
    if options.uri.startswith("pvc:"):
        found = CLAIM.fullmatch(options.uri)
        if not found or {".", ".."} & {*found[2].split("/")}:
            message = "this is not the URI of a claim and a path in it"
            raise fatal(PLACE, options.uri, message, "Write `pvc://CLAIM` or `pvc://CLAIM/PATH`.")
        return Place(f"{MODELS}{found[2]}", found[1])
    if not is_remote(options.uri):
        message = "this is neither the URI of a bucket nor that of a claim"
        raise fatal(
            PLACE, options.uri, message, "Use `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `pvc://CLAIM/PATH`."
        )
    if REVISION.search(options.uri):
        message = "a revision is deployed itself, because it knows its place"
        raise fatal(PLACE, options.uri, message, "Deploy the revision without --uri, or add a slash for a prefix.")
    open_store(options.uri)  # raises Stop for what Triton would misread, and sends nothing
    return Place(options.uri)


def _serving(found: Source, place: Place, out: Path, options: KubeOptions) -> Serving:
    target, wanted = found.target, options.wanted
    image = _image(found, wanted)
    running = engines(found.found)
    kind = "kserve" if options.kserve else "k8s"
    again = options.again or shlex.join(["tritonrepo", "deploy", kind, found.where, "-o", str(out)])
    service = Service(
        name=found.name,
        release=target.release,
        runs=image,
        arch=target.arch,
        gpus=Gpus(max(0, target.gpus)),
        reads=Reads(place.models, place.scheme, ()),
        control=Control() if options.kserve else options.control or _control(found),
        ports=Ports(),
        complete=found.complete,
        asked=asked(found.found),
        engines=running,
        memory=shared_memory(found.found, running),
        start=start(found.found, running, bucket=place.scheme in MOUNTS and not options.kserve),
        again=again,
        variables=variables(found.found, wanted.variables),
    )
    return Serving(service, found.found, place.claimed, wanted, options.gateway)


def _control(found: Source) -> Control:
    """Return when models are loaded: what is at a URI changes, unlike a revision or what is deployed from here."""
    return Control("poll", POLL_S) if found.uri and not is_revision(found.where) else Control()


def _image(found: Source, wanted: Wanted) -> Runs:
    image = runs(found, of_stack(found.name), HEADER)
    if image.dockerfile and not wanted.image_name:
        message = "no image of Triton has every backend, so one has to be built, and pulled by the cluster"
        hint = "Choose its name with `--image-name REGISTRY/NAME:TAG`: then its Dockerfile is written too."
        raise fatal("deploy-image", found.where, message, hint)
    return image


def _outside(found: Source, wanted: Wanted) -> Iterator[Diagnostic]:
    """Yield a warning about each path that models read and no volume has; raise Stop for a volume in a wrong place."""
    for _, path in wanted.volumes:
        if taken(path):
            message = "the container has something else at this path, so that no volume can be there"
            raise fatal("deploy-mount", path, message, "Mount the claim at another path.")
    for name, path in outside(found.found, engines(found.found)):
        if within(path, MODELS) or any(within(path, given) for _, given in wanted.volumes):
            continue
        message = f'model "{name}" reads {path}, which the container does not have'
        hint = f"Add the claim that has it with `--volume CLAIM:{shlex.quote(path)}`."
        yield Diagnostic("deploy-path", Severity.WARNING, Span(f"{found.where.rstrip('/')}/{name}"), message, hint)


def _blind(serving: Serving) -> Iterator[Diagnostic]:
    """Yield a warning if replicas are counted by queues that do not show what is busy."""
    if serving.wanted.scale and serving.service.engines:
        name = serving.service.engines[0].name
        message = f'requests for "{name}" wait in vLLM, whose queue the metrics of Triton do not show'
        hint = "The autoscaler sees only the other models. Serve the generator by a vLLM of its own to scale it."
        yield Diagnostic("deploy-autoscale", Severity.WARNING, Span(f"{serving.service.name}/{name}"), message, hint)
