"""NVIDIA NIM for language models: which settings each generation takes, its environment, its volumes and its probes.

Source: docs.nvidia.com/nim/large-language-models, 1.12.0 to 2.1.6: configuration, environment-variables,
advanced-configuration, model-free-nim and installation. NIM itself was not run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube import pods
from tritonrepo.deploy.kube.workload import Ending, Needs, Port, Probe, Probes, Volume, Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.room import Engine
from tritonrepo.deploy.serving import wanted as serving
from tritonrepo.deploy.serving.vllm import Named
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.deploy.sums import GIB, Sum, Term
from tritonrepo.llm.serving import line, versions

PORT = 8000
CACHE = "/opt/nim/.cache"
TAG = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?:[-.+][A-Za-z0-9.+-]{1,60})?")
NAME = re.compile(r"(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9][a-z0-9._/-]{0,200}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ANY_MODEL = ("model-free-nim", "llm-nim")
"""Images that hold no model: the one of 2.x, and the one of 1.x, which NVIDIA calls multi-LLM."""

KEYLESS = (2, 0, 10)
"""The first version that needs no NGC key, except in images of a production branch."""

USER, GROUP = 1000, 2000
"""Those of NVIDIA's operator. Source: k8s-nim-operator, api/apps/v1alpha1/nimservice_types.go."""

ENDING = Ending("for requests in flight, as far as the version waits for them", requests=60)


class Nim(NamedTuple):
    """An image of NIM: its name, its tag, the digest with @, "" if there is none, and the numbers of the version."""

    name: str
    tag: str
    digest: str
    version: tuple[int, int, int]

    @property
    def text(self) -> str:
        """The image as a container names it."""
        return f"{self.name}:{self.tag}{self.digest}"

    @property
    def any_model(self) -> bool:
        """Whether it serves the model that it is told to, instead of one of its own."""
        return self.name.rpartition("/")[2] in ANY_MODEL

    @property
    def engines(self) -> bool:
        """Whether it passes options on to the engine inside, as all since 2.0 do."""
        return self.version >= (2, 0, 0)

    @property
    def keyless(self) -> bool:
        """Whether it needs no NGC key."""
        return self.version >= KEYLESS and not re.search(r"pb[0-9]", f"{self.name.rpartition('/')[2]}:{self.tag}")


def nim(text: str) -> Nim | None:
    """Return the parts of an image's name; None if it does not name a version."""
    name, at, digest = text.partition("@")
    name, _, tag = name.rpartition(":")
    found = TAG.fullmatch(tag)
    if found is None or not NAME.fullmatch(name) or (at and not DIGEST.fullmatch(digest)):
        return None
    return Nim(name, tag, at + digest, (int(found[1]), int(found[2]), int(found[3])))


OLD: Mapping[str, str] = {"max_model_len": "NIM_MAX_MODEL_LEN", "gpu_memory_utilization": "NIM_KVCACHE_PERCENT"}
"""The engine arguments that 1.x has a variable for."""

OF_PROFILE = ("tensor_parallel_size", "pipeline_parallel_size", "dtype", "quantization")
"""What 1.x takes from the profile, which it selects by the GPUs unless NIM_MODEL_PROFILE names one."""


def engine(one: Generator) -> Engine:
    """Return what decides on the memory of its engine, as far as that is known: NIM does not say which vLLM it has."""
    return Engine(one.facts, one.arguments, versions()[-1])


def ignored(one: Generator, image: Nim) -> tuple[str, ...]:
    """Return the engine arguments that this image does not take."""
    if image.engines:
        return ()
    return tuple(key for key, value in one.arguments.items() if value is not None and key not in {*OLD, *LORA})


LORA = ("enable_lora", "max_lora_rank", "max_loras", "max_cpu_loras")
"""What NIM sets by itself if it has adapters."""


def workload(one: Generator, named: Named, image: Nim, profile: str, choices: Choices) -> Workload:
    """Return the server of a generator."""
    needs = Needs(
        gpus=one.gpus,
        cores=serving.cores(one, one.gpus),
        memory=serving.memory(one, one.gpus),
        disk=Sum((Term(20 * GIB, "compiled kernels, logs and temporary files"),), GIB),
        shared=serving.shared(one, one.gpus),
        start=serving.start(one),
    )
    which = "The model is in the name of the image." if not image.any_model else "The image serves any model."
    return Workload(
        name=named.name,
        stack=named.stack,
        kind="nim",
        version=image.tag,
        image=noted(image.text, f"NIM {image.tag}. {which}"),
        args=[],
        env=[*environment(one, named.name, image, profile, choices)],
        ports=(Port("http", PORT),),
        metrics="http",
        probes=_probes(),
        needs=needs,
        volumes=tuple(_volumes(needs, named.name, choices)),
        placing=choices.placing(USER, GROUP),
        ending=ENDING,
        replicas=choices.kube.replicas,
        scaling=serving.scaling(one, choices, "vllm" if image.engines else "nim"),
        reaches=serving.downloads("NGC and the Hugging Face Hub, for the weights."),
    )


def environment(one: Generator, name: str, image: Nim, profile: str, choices: Choices) -> Iterator[object]:
    """Yield the variables of the container."""
    keys = choices.kube.secret or name
    why = "The key of NGC, with which the model is downloaded."
    if image.keyless:
        why = f"{why} Most public images need none since NIM 2.0.10."
    yield serving.secret("NGC_API_KEY", keys, "NGC_API_KEY", why, optional=image.keyless)
    if image.any_model:
        variable = "NIM_MODEL_PATH" if image.engines else "NIM_MODEL_NAME"
        why = "Token of the Hugging Face Hub, needed only for a model that is gated or private."
        yield serving.secret("HF_TOKEN", keys, "HF_TOKEN", why, optional=True)
        source = f"hf://{one.source}" if one.from_hub else one.source
        yield from serving.environment({variable: (escaped(source), "The model that the stack names.")})
    yield from serving.environment(
        {
            "NIM_CACHE_PATH": (CACHE, "Weights stay in the volume: only the first start downloads them."),
            "NIM_SERVED_MODEL_NAME": (
                escaped(one.served),
                "The name that requests give, and the label of its metrics.",
            ),
        }
    )
    if profile:
        yield from serving.environment({"NIM_MODEL_PROFILE": (profile, "The profile that --profile names.")})
    yield from _engine(one, image)
    yield from _adapters(one)
    yield from serving.own_variables(choices, keys)


def _engine(one: Generator, image: Nim) -> Iterator[object]:
    if not image.engines:
        pairs = {variable: one.arguments.get(key) for key, variable in OLD.items()}
        why = "As the engine arguments of the stack say."
        yield from serving.environment({name: (str(value), why) for name, value in pairs.items() if value is not None})
        return
    newest = versions()[-1]
    words = [word for each in line(one.arguments, newest).words.values() for word in each]
    if words:
        why = f"The engine arguments of the stack, as options of vLLM {newest}: NIM does not say which one it holds."
        yield from serving.environment({"NIM_PASSTHROUGH_ARGS": (escaped(shlex.join(words)), why)})


def peft(one: Generator) -> str:
    """Return the directory whose subdirectories are the adapters, each with its name; "" if they are elsewhere."""
    parents = {path.rpartition("/")[0] for name, path in one.adapters.items() if path.rpartition("/")[2] == name}
    named = all(path.startswith("/") and path.rpartition("/")[2] == name for name, path in one.adapters.items())
    return parents.pop() if named and len(parents) == 1 else ""


def _adapters(one: Generator) -> Iterator[object]:
    found = peft(one)
    if found:
        why = "The directory with the LoRA adapters, each in a directory with the name that requests give."
        yield from serving.environment({"NIM_PEFT_SOURCE": (escaped(found), why)})


def escaped(text: str) -> str:
    """Return a value of a variable: Kubernetes would replace `$(NAME)`, and takes `$$` for `$`."""
    return text.replace("$", "$$")


def _volumes(needs: Needs, name: str, choices: Choices) -> Iterator[Volume]:
    yield pods.shared(needs.shared, "Shared memory of the workers.")
    yield pods.claim("cache", CACHE, choices.kube.cache or f"{name}-cache", "The weights, which outlive the pod.")
    yield from serving.own_volumes(choices)


def _probes() -> Probes:
    live: Mapping[str, object] = {"httpGet": {"path": "/v1/health/live", "port": "http"}}
    ready: Mapping[str, object] = {"httpGet": {"path": "/v1/health/ready", "port": "http"}}
    started = "It is ready when the model is loaded, and alive long before."
    return Probes(
        Probe(ready, started),
        Probe(live, "The process answers."),
        Probe(ready, "The model is loaded."),
    )


def keys(image: Nim, choices: Choices) -> dict[str, str]:
    """Return the keys of the Secret, each with what it is for."""
    ngc = "Key of NGC; leave it out for images that need none." if image.keyless else "Key of NGC."
    hub = {"HF_TOKEN": "Token of the Hugging Face Hub; leave it out for public models."} if image.any_model else {}
    return {"NGC_API_KEY": ngc} | hub | dict.fromkeys(choices.kube.variables, "A variable that --env names.")


def registry(name: str) -> str:
    """Return the name of the Secret with which an image is pulled that needs a key."""
    return f"{name}-registry"
