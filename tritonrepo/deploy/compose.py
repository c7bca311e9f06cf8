"""compose.yaml: each value with its reason, in the order in which one asks about it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from tritonrepo.deploy.environment import KEY_FILE, variables
from tritonrepo.deploy.service import CACHE, MEASURED, MODELS, SCRATCH, Service
from tritonrepo.deploy.sums import MIB
from tritonrepo.deploy.texts import below, literal, quoted, rows, said

USER = "1000:1000"
"""The user triton-server of Triton's images. Source: server, build.py, TRITON_SERVER_USER; docs/customization_guide/
deploy.md, "Run as a Non-Root User"."""

EXIT_S, UNLOAD_S = 30, 15
"""Seconds for requests in flight, which is Triton's own default of --exit-timeout-secs, and for unloading models."""

STACK_BYTES = 67108864
"""The stack that NVIDIA gives its containers. Source: vllm_backend, README.md, `--ulimit stack=67108864`."""

PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
ASKED = 16
"""How many models a health check asks at most: more requests would take longer than it may."""


def compose(service: Service) -> str:
    """Return the text of compose.yaml."""
    lines = [
        *said("Written by tritonrepo deploy docker. To change it, change the stack or the options and run"),
        *rows([service.again]),
        *said("A file that you edit by hand is kept. Check it: docker compose config. Start it: docker compose up -d"),
        f"name: {quoted(service.name)}",
        "",
        "services:",
        *_indented(below("triton:", _triton(service))),
        *(["", *_indented(below("volumes-owner:", _owner(service)))] if service.volumes else []),
    ]
    if service.volumes:
        lines += ["", *said("They outlive the container: docker compose down --volumes removes them."), "volumes:"]
        lines += [f"  {name}:" for name in service.volumes]
    return "\n".join([*lines, ""])


def _indented(lines: Iterator[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _triton(service: Service) -> Iterator[str]:
    yield from _image(service)
    yield from below("command:", _command(service))
    yield from _gpus(service)
    yield from _memory(service)
    yield from _reads(service)
    yield from _environment(service)
    yield from _ports(service)
    yield from _health(service)
    yield from _rights()
    if service.volumes:
        yield from said("Before it starts, its volumes belong to its user.")
        yield from below("depends_on:", ["volumes-owner:", "  condition: service_completed_successfully"])
    yield from said("After a crash or a reboot, it starts again; after `docker compose stop`, it does not.")
    yield "restart: unless-stopped"
    yield from said(
        f"Triton waits {EXIT_S} s for requests in flight, then unloads its models. Docker's own 10 s would kill it."
    )
    yield f"stop_grace_period: {EXIT_S + UNLOAD_S}s"
    yield from said("This driver rotates the log; with Docker's default, it grows until the disk is full.")
    yield from below("logging:", ["driver: local"])


def _image(service: Service) -> Iterator[str]:
    runs, driver = service.runs, service.release.versions.get("driver")
    yield from said(runs.why)
    if service.gpus.number and driver:
        yield from said(
            f"The CUDA of Triton {service.release.name} comes with driver {driver}: nvidia-smi shows the host's. Data"
            " center GPUs also run it with older drivers, as NVIDIA's support matrix lists them."
        )
    yield f"image: {quoted(runs.image)}"
    if runs.dockerfile:
        yield from below("build:", ["context: .", "dockerfile: Dockerfile"])
        yield from said("It is built here and never pulled: a registry may have another image of this name.")
        yield "pull_policy: build"
    if service.arch in PLATFORMS:
        yield from said("The processor of the target: a host with another one says so instead of failing later.")
        yield from _platform(service)


def _platform(service: Service) -> Iterator[str]:
    """Yield the platform; none for a processor that a record names and no image is for."""
    if service.arch in PLATFORMS:
        yield f"platform: {PLATFORMS[service.arch]}"


def _command(service: Service) -> Iterator[str]:
    """Yield the words of the command. Source: server, src/command_line_parser.cc, of r24.01 to r26.07."""
    yield "- tritonserver"
    yield f"- {quoted(f'--model-repository={service.reads.models}')}"
    yield from _control(service)
    if service.complete:
        yield from said(
            "Every config is complete, so the server serves what was reviewed, and starts several times faster."
        )
        yield "- --disable-auto-complete-config"
    for option in service.measured:
        yield from said(MEASURED)
        yield f"- {option}"
    yield f"- --exit-timeout-secs={EXIT_S}"


def _control(service: Service) -> Iterator[str]:
    mode, seconds = service.control
    if mode == "none":
        yield from said(
            "Models are loaded once, and the server exits if one does not load. To serve a new build, run docker"
            " compose restart."
        )
        yield "- --model-control-mode=none"
        return
    if mode == "poll":
        yield from said(
            f"The server looks for changes every {seconds} s, so that it serves what tritonrepo push writes. Whoever"
            " can write to the repository can run code here."
        )
        yield from ["- --model-control-mode=poll", f"- --repository-poll-secs={seconds}"]
    else:
        yield from said(
            "Models change only when a client asks for it at /v2/repository, which is open to everyone who reaches the"
            " HTTP or gRPC port. All are loaded at the start; no other --load-model may be added."
        )
        yield from ["- --model-control-mode=explicit", '- "--load-model=*"']
    yield from said(
        "While a new version loads, the server stays ready, and one model that does not load does not end it: a push"
        " needs both. The health check below asks the models instead."
    )
    yield from ["- --strict-readiness=false", "- --exit-on-error=false"]


def _gpus(service: Service) -> Iterator[str]:
    number, ids = service.gpus
    if not number:
        yield from said("The target has no GPU, so none is given to the container.")
        return
    if ids:
        which, chosen = f"{len(ids)} of the host's", f"device_ids: [{', '.join(map(quoted, ids))}]"
        yield from said(
            f"The GPUs of the target: {which}, by the IDs of nvidia-smi -L. The container counts them from 0."
        )
    else:
        chosen = f"count: {number}"
        yield from said("The GPUs of the target. Use --gpu-id to choose which of the host's, or a part of one (MIG).")
    device = ["- driver: nvidia", f"  {chosen}", "  capabilities: [gpu]"]
    yield from below("deploy:", below("resources:", below("reservations:", below("devices:", device))))


def _memory(service: Service) -> Iterator[str]:
    yield from said(
        "Shared memory, through which Python models exchange tensors with the server: a limit, which takes no memory by"
        " itself. Docker's is 64 MiB; needed are:"
    )
    yield from rows(service.memory.bytes())
    yield f"shm_size: {service.memory.total // MIB}m"
    if service.gpus.number:
        yield from said("Pinned memory for transfers to the GPU, and the stack of NVIDIA's own examples.")
        yield from below("ulimits:", ["memlock: -1", f"stack: {STACK_BYTES}"])


def _reads(service: Service) -> Iterator[str]:
    lines = [line for mount in service.reads.mounts for line in _mount(mount.source, mount.target, mount.why)]
    if service.reads.scheme == "gs":
        lines += said("The key file that GOOGLE_APPLICATION_CREDENTIALS names in .env; without one, it is empty.")
        lines += _bind(literal("${GOOGLE_APPLICATION_CREDENTIALS:-/dev/null}"), KEY_FILE)
    if "cache" in service.volumes:
        lines += said("Weights from the Hub and compiled kernels, so that the next start does not fetch them again.")
        lines.append(f"- cache:{CACHE}")
    if "scratch" in service.volumes:
        lines += said(
            "The server copies each model from the bucket to a directory here before it loads it, and removes it when"
            " it unloads it. A server that was killed leaves its copies."
        )
        lines.append(f"- scratch:{SCRATCH}")
    if lines:
        yield from below("volumes:", lines)


def _mount(source: str, target: str, why: str) -> list[str]:
    return [*said(why), *_bind(quoted(source), quoted(target) if target != MODELS else MODELS)]


def _bind(source: str, target: str) -> list[str]:
    """Return a directory or file of the host; Docker must not create it as an empty directory if it does not exist."""
    return [
        "- type: bind",
        f"  source: {source}",
        f"  target: {target}",
        "  read_only: true",
        *below("  bind:", ["  create_host_path: false"]),
    ]


def _environment(service: Service) -> Iterator[str]:
    lines = []
    for variable in variables(service):
        lines += said(variable.why) if variable.why else []
        lines.append(f"{variable.name}: {variable.value}".rstrip())
    yield from below("environment:", lines)


def _ports(service: Service) -> Iterator[str]:
    bind, *ports = service.ports
    host = f"[{bind}]" if ":" in bind else bind
    if bind in {"127.0.0.1", "::1"}:
        why = "Only this host reaches them: Triton has neither passwords nor TLS for HTTP. --bind ADDRESS opens them."
    else:
        why = "Whoever reaches this address can send requests: Triton has neither passwords nor TLS for HTTP."
    yield from said(f"HTTP, gRPC and metrics. {why}")
    yield from below(
        "ports:", [f'- "{host}:{port}:{own}"' for port, own in zip(ports, (8000, 8001, 8002), strict=True)]
    )


def _health(service: Service) -> Iterator[str]:
    """Yield the health check. Source: server, build.py, of r24.01 to r26.07, which installs curl in the images."""
    base, shown = "http://127.0.0.1:8000/v2", service.asked[:ASKED]
    if service.control.changes:
        yield from said(
            "The server is always ready, so models are asked: those that no other model calls"
            + (f", the first {ASKED} of {len(service.asked)}." if len(shown) < len(service.asked) else ".")
        )
        urls = [f"{base}/models/{quote(name.encode('utf-8', 'surrogateescape'), safe='')}/ready" for name in shown]
    else:
        yield from said("Ready means that every model is loaded. Triton's images have curl.")
        urls = [f"{base}/health/ready"]
    yield from said(
        "Before start_period is over, a failure does not count. It is twice the time that a start may take:"
    )
    yield from rows(service.start.seconds())
    words = ["CMD", "curl", "--fail", "--fail-early", "--silent", "--show-error", "--max-time"]
    test = [f"- {word}" for word in words] + ['- "5"', "- --noproxy", '- "*"'] + [f"- {quoted(url)}" for url in urls]
    timing = [f"start_period: {service.start.total}s", "interval: 15s", f"timeout: {5 * len(urls) + 5}s", "retries: 3"]
    yield from below("healthcheck:", [*below("test:", test), *timing])


def _rights() -> Iterator[str]:
    yield from said("triton-server, who is not root, in Triton's images. It needs no capability and cannot gain any.")
    yield f'user: "{USER}"'
    yield from below("cap_drop:", ["- ALL"])
    yield from below("security_opt:", ["- no-new-privileges:true"])
    yield from said("Ends the processes that a Python model leaves behind.")
    yield "init: true"


def _owner(service: Service) -> Iterator[str]:
    """Yield the service that gives volumes to the server's user.

    Of one image, only one service may have the build: two that export it at a time fail (docker/buildx#3576). The other
    is not pulled either, and its container is made after all builds (compose, pkg/compose/pull.go, pullRequiredImages).
    """
    places = {"cache": CACHE, "scratch": SCRATCH}
    yield from said("A new volume belongs to root. This runs once before the server, gives them to its user, and ends.")
    yield f"image: {quoted(service.runs.image)}"
    if service.runs.dockerfile:
        yield from said("The server's own build makes it: Compose fails if two builds export one image at a time.")
        yield "pull_policy: never"
    yield from _platform(service)
    yield f'entrypoint: [chown, "{USER}", {", ".join(places[name] for name in service.volumes)}]'
    yield from below("volumes:", [f"- {name}:{places[name]}" for name in service.volumes])
    yield 'user: "0:0"'
    yield from below("cap_drop:", ["- ALL"])
    yield from below("cap_add:", ["- CHOWN"])
    yield from below("security_opt:", ["- no-new-privileges:true"])
    yield "network_mode: none"
    yield "read_only: true"
    yield 'restart: "no"'
