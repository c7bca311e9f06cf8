"""vLLM's own server: its command line, its environment, its volumes and its probes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube import pods
from tritonrepo.deploy.kube.workload import Ending, Needs, Port, Probe, Probes, Volume, Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.room import TYPICAL, Engine, Room
from tritonrepo.deploy.serving import wanted as serving
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.deploy.sums import GIB, Sum, Term
from tritonrepo.diagnostics import counted
from tritonrepo.llm.serving import line, serves

IMAGE = "vllm/vllm-openai"
PORT = 8000
CACHE, SCRATCH = "/cache", "/scratch"
SHUTDOWN_S = 60
"""Seconds for requests in flight at the end."""

SEQUENCES = 256
"""Requests that run at a time where nothing is said: the least of vLLM's defaults. Source: vllm/engine/arg_utils.py."""

UTILIZATION = 0.9
"""Of a GPU's memory. It was vLLM's default until 0.92 took its place. Source: vllm/config/cache.py."""

SIZED = {"gpu_memory_utilization", "kv_cache_memory_bytes"}
"""Engine arguments that say how much memory vLLM takes."""

QUIET = "/health,/metrics,/v1/models"
"""Paths that are asked all the time."""

ASKS = (
    "import os, urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:8000/v1/models',"
    " headers={'Authorization': 'Bearer ' + os.environ['VLLM_API_KEY']}), timeout=4)"
)
"""What asks for the models with the key, which a probe by HTTP cannot have: a manifest would show it."""


class Pods(NamedTuple):
    """How a replica is spread: `nodes` pods of `gpus` GPUs each."""

    nodes: int
    gpus: int


class Named(NamedTuple):
    """The names of a server: of its objects, and of the stack that it is a part of."""

    name: str
    stack: str


class Image(NamedTuple):
    """The version of vLLM, and why it is that one."""

    version: str
    why: str


def spread(one: Generator, per_node: int) -> Pods:
    """Return the pods of a replica: one if its GPUs are in one node, otherwise as many as have equal shares."""
    nodes = max(1, -(-one.gpus // per_node))
    while one.gpus % nodes:
        nodes += 1
    return Pods(nodes, one.gpus // nodes)


def engine(one: Generator, version: str) -> Engine:
    """Return what decides on the memory of its engine."""
    written = {} if SIZED & {*one.arguments} else {"gpu_memory_utilization": UTILIZATION}
    return Engine(one.facts, {**one.arguments, **written}, version)


def workload(one: Generator, named: Named, image: Image, room: Room, choices: Choices) -> Workload:
    """Return the server of a generator, as one pod; `nodes` makes several of it. `room` is that of its GPUs."""
    gpus, version = spread(one, choices.per_node).gpus, image.version
    name = named.name
    needs = Needs(
        gpus=gpus,
        cores=serving.cores(one, gpus),
        memory=serving.memory(one, gpus),
        disk=Sum((Term(20 * GIB, "compiled kernels, logs and temporary files"),), GIB),
        shared=serving.shared(one, gpus),
        start=serving.start(one),
        holds=serving.holds(room),
    )
    return Workload(
        name=name,
        stack=named.stack,
        kind="vllm",
        version=version,
        image=noted(choices.kube.image_name or f"{IMAGE}:v{version}", image.why),
        command=[noted("vllm", "The image's own entrypoint has changed between versions; this has not."), "serve"],
        args=[*_args(one, version, room)],
        env=[*_environment(one, name, choices)],
        ports=(Port("http", PORT),),
        metrics="http",
        probes=_probes(keyless=choices.keyless),
        needs=needs,
        volumes=tuple(_volumes(one, name, needs, choices)),
        placing=choices.placing(),
        ending=_ending(version),
        replicas=choices.kube.replicas,
        scaling=serving.scaling(one, choices, "vllm"),
        reaches=serving.reaches(one),
    )


def _args(one: Generator, version: str, room: Room) -> Iterator[object]:
    """Yield the words of the command line. Kubernetes would replace `$(NAME)`, and takes `$$` for `$`."""
    model = noted(_word(one.source), "The model is the first word: --model is deprecated.")
    yield model if one.source else _word(one.source)
    if one.revision:
        yield noted(f"--revision={_word(one.revision)}", "The revision that the stack pins.")
    yield noted(
        f"--served-model-name={_word(one.served)}", "The name that requests give, and the label of its metrics."
    )
    yield from _said(one, version)
    yield from _ours(one, version, room)
    yield from _adapters(one)


def _said(one: Generator, version: str) -> Iterator[object]:
    why = f"The engine arguments of {one.name}, as options of vLLM {version}."
    for key, words in line(one.arguments, version).words.items():
        if key == "gpu_memory_utilization":
            why = f"{why} Of the memory of a GPU, which nothing else uses here.".strip()
        yield noted(_word(words[0]), why) if why else _word(words[0])
        yield from map(_word, words[1:])
        why = ""


def _ours(one: Generator, version: str, room: Room) -> Iterator[object]:
    """Yield options that a server in production needs, where nobody has set them."""
    if not SIZED & {*one.arguments}:
        why = "Written down because vLLM's default has changed between versions (0.9, now 0.92)."
        yield noted(f"--gpu-memory-utilization={UTILIZATION}", why)
    running = _running(one, room)
    if running.computed:
        yield noted(f"--max-num-seqs={running.number}", AT_ONCE, rows=running.rows)
    if "max_num_queued_reqs" not in one.arguments and serves("max-num-queued-reqs", version):
        yield _queue(one, running)
    if "shutdown_timeout" not in one.arguments and serves("shutdown-timeout", version):
        why = "Requests in flight may finish when the pod ends. The default of 0 s cuts them off."
        yield noted(f"--shutdown-timeout={SHUTDOWN_S}", why)
    if serves("disable-access-log-for-endpoints", version):
        yield noted(f"--disable-access-log-for-endpoints={QUIET}", "Probes and scrapes would fill the log.")


class Running(NamedTuple):
    """How many requests run at a time in each of the data-parallel engines, and who says so.

    `rows` are the arithmetic if the number was `computed`.
    """

    number: int
    said: str
    computed: bool = False
    rows: tuple[str, ...] = ()


AT_ONCE = "As many as the KV cache surely holds. With more, some would be stopped, and computed again from the start."


def _running(one: Generator, room: Room) -> Running:
    if one.sequences:
        return Running(one.sequences, "max_num_seqs")
    number = room.sequences if one.arguments.get("max_num_seqs") is None else None
    if number is None:
        return Running(SEQUENCES, "of vLLM's defaults, the least")
    why = (
        "a fourth of max_model_len"
        if room.each < TYPICAL
        else "assumed: set max_num_seqs if yours are longer or shorter"
    )
    rows = (
        f"{room.tokens:,} tokens: in the KV cache at least, see nvidia.com/gpu",
        f"{room.each:,} tokens: a request with its answer ({why})",
    )
    return Running(number, "max_num_seqs", computed=True, rows=rows)


def _queue(one: Generator, running: Running) -> object:
    ranks = one.parallel("data_parallel_size")
    why = "More requests get 503 at once, so that clients go elsewhere. Without a limit, they wait without end."
    many = f", {counted(ranks, 'rank')}" if ranks > 1 else ""
    number = running.number * ranks
    rows = (f"{number}: that run at a time ({running.said}{many})", f"{number}: that wait")
    return noted(f"--max-num-queued-reqs={2 * number}", why, rows=rows)


def _adapters(one: Generator) -> Iterator[object]:
    if not one.adapters:
        return
    if "enable_lora" not in one.arguments:
        yield noted("--enable-lora", "For the adapters below.")
    yield noted("--lora-modules", "The LoRA adapters, each with the name that requests give as the model.")
    yield from (_word(_module(name, path)) for name, path in one.adapters.items())


def _module(name: str, path: str) -> str:
    """Return an adapter as --lora-modules takes it. Source: vllm, entrypoints/openai/cli_args.py, LoRAParserAction."""
    plain = "=" not in name and "," not in f"{name}{path}"
    return f"{name}={path}" if plain else json.dumps({"name": name, "path": path})


def _word(text: str) -> str:
    return text.replace("$", "$$")


def _environment(one: Generator, name: str, choices: Choices) -> Iterator[object]:
    keys = choices.kube.secret or name
    if not choices.keyless:
        why = "The API key of all paths under /v1, from the Secret in secrets.example.yaml."
        yield serving.secret("VLLM_API_KEY", keys, "VLLM_API_KEY", why)
    if one.from_hub:
        why = "Token of the Hugging Face Hub, needed only for a model that is gated or private."
        yield serving.secret("HF_TOKEN", keys, "HF_TOKEN", why, optional=True)
        yield noted(
            {"name": "HF_HOME", "value": CACHE}, "Weights stay in the volume: only the first start downloads them."
        )
    home = "The user has no home in the image. Libraries keep what they compile here."
    user = "Libraries ask for the user's name, which the image has only for root."
    yield from serving.environment(
        {
            "HOME": (SCRATCH, home),
            "VLLM_CACHE_ROOT": (f"{SCRATCH}/vllm", ""),
            "USER": ("vllm", user),
            "VLLM_NO_USAGE_STATS": ("1", "vLLM reports nothing to its makers."),
        }
    )
    yield from serving.own_variables(choices, keys)


def _volumes(one: Generator, name: str, needs: Needs, choices: Choices) -> Iterator[Volume]:
    yield pods.shared(needs.shared, "Shared memory of the workers.")
    yield pods.empty("scratch", SCRATCH, needs.disk, "What is compiled at the start.")
    if one.from_hub:
        yield pods.claim("cache", CACHE, choices.kube.cache or f"{name}-cache", "The weights, which outlive the pod.")
    yield from serving.own_volumes(choices)


def _probes(*, keyless: bool) -> Probes:
    health: Mapping[str, object] = {"httpGet": {"path": "/health", "port": "http"}}
    started = "vLLM opens its port when the engine is ready."
    live = "The process answers. It fails only when the engine has died; a stuck GPU is not seen."
    ready = "The engine knows its models; /health was true too early in older versions."
    if keyless:
        asked: Mapping[str, object] = {"httpGet": {"path": "/v1/models", "port": "http"}}
        return Probes(Probe(health, started), Probe(health, live), Probe(asked, ready))
    asked = {
        "exec": {"command": ["python3", "-c", noted(ASKS, "It needs the key, which a probe by HTTP cannot have.")]}
    }
    return Probes(Probe(health, started), Probe(health, live), Probe(asked, ready))


def _ending(version: str) -> Ending:
    if serves("shutdown-timeout", version):
        return Ending("for requests in flight (--shutdown-timeout)", requests=SHUTDOWN_S)
    return Ending("for requests in flight, which this version of vLLM cuts off", requests=0)


def keys(one: Generator, choices: Choices) -> dict[str, str]:
    """Return the keys of the Secret, each with what it is for."""
    sent = f" Triton has it as {one.key}, in a Secret of its own." if one.url and one.key else ""
    asked = f"A long random text, which clients send as their bearer token.{sent}"
    found = {} if choices.keyless else {"VLLM_API_KEY": asked}
    hub = {"HF_TOKEN": "Token of the Hugging Face Hub; leave it out for public models."} if one.from_hub else {}
    return found | hub | dict.fromkeys(choices.kube.variables, "A variable that --env names.")
