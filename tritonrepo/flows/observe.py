"""The pipeline of `deploy observe`: a stack or a repository becomes a plan for the files that watch its servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tritonrepo.deploy.endpoints import endpoints, near
from tritonrepo.deploy.kube.workload import job as job_of
from tritonrepo.deploy.kube.workload import of_stack
from tritonrepo.deploy.observe.doubts import doubts
from tritonrepo.deploy.observe.exposed import Exposed
from tritonrepo.deploy.observe.files import Observed, files
from tritonrepo.deploy.observe.servers import BACKEND, KINDS, Server, System
from tritonrepo.deploy.observe.watched import Slo, Watched, watched
from tritonrepo.flows import deployment
from tritonrepo.flows.deploy import apart
from tritonrepo.flows.deployed import Source, source
from tritonrepo.flows.deployment import Deployment, plan_files
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.catalogue import SERIES, catalogue
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.metrics import Scrape, scrape


class ObserveOptions(NamedTuple):
    """What the user decides: which systems are watched, and what is expected of them.

    `systems` is empty for Triton, the endpoints that generators call, and what the scrapes show. `jobs` are the names
    that Prometheus has for the servers, where they are not ours. `metrics` are servers whose metrics are read. `again`
    is the command that is written down.
    """

    systems: tuple[System, ...] = ()
    namespace: str = ""
    jobs: Mapping[System, str] = {}
    slo: Slo = Slo()
    metrics: tuple[Endpoint, ...] = ()
    repository: Path = Path("model_repository")
    again: str = "tritonrepo deploy observe"


NOTHING = ObserveOptions()


@reading()
def plan_observe(  # noqa: PLR0913  as many as the command has options
    where: Path | str | Sequence[Path | str],
    out: Path | str,
    work: Workspace,
    wanted: ObserveOptions = NOTHING,
    aim: Aim = declared,
    *,
    overwrite: bool = False,
) -> Deployment:
    """Return the plan that writes rules, their tests, dashboards and scrape configs for a stack, a directory or a URI.

    Nothing is written. Raise Stop if files of others are in the way, or if a server has no metrics.

    Args:
        where: A stack file or several, its directory, a directory of models, or the URI of a bucket.
        out: Where the files are to be written.
        work: The environment, and the receiver of progress.
        wanted: What the user decides.
        aim: What makes the target.
        overwrite: Whether to replace files that somebody has changed since they were written.
    """
    out = deployment.named(out)
    found = source(where, wanted.repository, work, aim)
    apart(out, found)
    scrapes = {
        url: frozenset(_known(seen)) for url, seen in ((each.metrics_url(), scrape(each)) for each in wanted.metrics)
    }
    name = of_stack(found.name)
    seen = watched(found.found, name, wanted.slo)
    servers = _servers(found, seen, wanted, scrapes)
    release = found.target.release
    outside = tuple((each.name, each.host) for each in endpoints(found.found) if not near(each.host))
    asked = () if wanted.systems else tuple(dict.fromkeys(outside))
    made = Observed(seen, servers, release.name, wanted.namespace, wanted.again, asked)
    return plan_files(name, files(made), out, tuple(doubts(found.where, release, made)), overwrite=overwrite)


def _known(seen: Scrape) -> Iterator[tuple[str, str]]:
    """Yield the series that a server has, each with its exposer by the labels of the catalogue."""
    for metric in catalogue().values():
        for name in metric.names:
            for ending in SERIES.get(metric.kind, ("",)):
                series = f"{name.name}{ending}"
                labels = {label for each in seen.series.get(series, ()) for label, _ in each}
                if series in seen.series and (metric.per != "model" or name.labels["model"] in labels):
                    yield name.exposer, series


def _servers(
    found: Source, seen: Watched, wanted: ObserveOptions, scrapes: Mapping[str, frozenset[tuple[str, str]]]
) -> tuple[Server, ...]:
    read = {url: _system(url, {exposer for exposer, _ in known}, wanted) for url, known in scrapes.items()}
    calls = [*_calls(found, wanted)]
    inferred = (each for each, _ in calls) if {*read.values()} <= {System.TRITON} else ()
    systems = {*(wanted.systems or (System.TRITON, *inferred)), *read.values()}
    return tuple(
        _server(
            system, found, seen, wanted, {url: scrapes[url] for url, each in read.items() if each is system}
        )._replace(called=tuple(dict.fromkeys(url for each, url in calls if each is system)))
        for system in System
        if system in systems
    )


def _calls(found: Source, wanted: ObserveOptions) -> Iterator[tuple[System, str]]:
    """Yield the servers that generators call, with the URLs of their metrics.

    They are of the kind that the user watches, if it is one; otherwise NIM if the name of the host says so, or vLLM.
    """
    engines = [each for each in dict.fromkeys(wanted.systems) if each is not System.TRITON]
    for called in endpoints(found.found):
        if engines or near(called.host):
            kind = System.NIM if System.NIM in re.split(r"[.-]", called.host.lower()) else System.VLLM
            kind = engines[0] if len(engines) == 1 else kind
            yield kind, f"{called.address}{KINDS[kind].path}"


def _system(url: str, exposers: set[str], wanted: ObserveOptions) -> System:
    """Return the kind of server that has these metrics: NIM 2.x has those of vLLM, at a path of its own."""
    if "triton" in exposers or BACKEND in exposers:
        return System.TRITON
    own = System.NIM in wanted.systems and System.VLLM not in wanted.systems
    return System.NIM if "nim" in exposers or own or urlsplit(url).path == KINDS[System.NIM].path else System.VLLM


def _server(
    system: System,
    found: Source,
    seen: Watched,
    wanted: ObserveOptions,
    scrapes: Mapping[str, frozenset[tuple[str, str]]],
) -> Server:
    job = wanted.jobs.get(system) or job_of(seen.name, system)
    where = {"job": job} | ({"namespace": wanted.namespace} if wanted.namespace else {})
    known = [pair for pairs in scrapes.values() for pair in pairs]
    release = found.target.release.name if system is System.TRITON else ""

    def of(*exposers: str) -> Exposed:
        there = {series for exposer, series in known if exposer in exposers} if scrapes else None
        return Exposed(dict.fromkeys(exposers, release), where, there)

    backend = None
    if system is System.TRITON and (bool(seen.reporting) if not scrapes else any(e == BACKEND for e, _ in known)):
        backend = of(BACKEND)
    return Server(system, job, of(*KINDS[system].exposers), backend, tuple(scrapes))
