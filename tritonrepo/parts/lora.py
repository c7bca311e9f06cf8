"""A generator's LoRA adapters: multi_lora.json, the engine arguments that they need, and their checks.

vLLM gets each adapter's path as multi_lora.json has it, at the first request that names the adapter: an absolute path,
or the id of an adapter on the Hugging Face Hub, which it downloads without a revision (vllm_backend, src/model.py,
_setup_lora, and src/utils/request.py; vLLM, vllm/lora/utils.py, get_adapter_absolute_path).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, either, fatal
from tritonrepo.releases import RELEASES, Release
from tritonrepo.sources import adapter
from tritonrepo.sources.adapter import Facts
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.declare import key, places
from tritonrepo.spec.part import Places, wrong
from tritonrepo.spec.source import Bucket, Hub, Local, Package, Source, Web
from tritonrepo.spec.stack import Stack

DEFAULT_RANK = 16
"""vLLM's own max_lora_rank."""

RANKS = {"lora-rank-1": (1,), "": (8, 16, 32, 64), "lora-rank-256": (128, 256), "lora-rank-512": (320, 512)}
"""The values that max_lora_rank can have, by the fact on a release that has them."""

BASE = "adapter-base"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""A model's id on the Hugging Face Hub; a base model can also be a path on the disk where it was trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter on a disk of the server."""

    path: str = key("absolute path of the adapter's directory on the server", example="/mnt/lora/support")
    source: Source | None = key(
        "the same adapter where the build can read it, to check that vLLM can load it", None, example="./lora/support"
    )
    places: Places = places()


Adapters = Mapping[str, Source | Adapter]


def ranks(release: Release) -> tuple[int, ...]:
    """Return the values that max_lora_rank can have."""
    return tuple(sorted(rank for fact, more in RANKS.items() if not fact or release.has(fact) for rank in more))


def check(name: str, model: Any, stack: Stack) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield what is wrong with the adapters and the engine arguments for them."""
    at: Places = model.places
    release = RELEASES.get(stack.target.release)
    if release is None:
        return
    if not model.lora:
        if str(model.args.get("enable_lora")).lower() == "true":
            message = f'args set enable_lora, but generator "{name}" has no LoRA adapters'
            yield wrong(at, "args.enable_lora", message, "Add them as `lora: {NAME: {path: /PATH}}`, or remove it.")
        return
    if not release.has("vllm-lora"):
        message = f"the vLLM backend of Triton {release.name} has no LoRA adapters"
        yield wrong(at, "lora", message, "Use a newer release, or remove lora.")
        return
    for adapter_name, each in model.lora.items():
        for message, hint in _placed(adapter_name, each, release):
            yield wrong(at, "lora", message, hint)
    yield from _arguments(name, model, release)


def _placed(name: str, each: Source | Adapter, release: Release) -> Iterator[tuple[str, str]]:
    """Yield message and hint of what is wrong with where the server finds an adapter."""
    if not name.strip():
        yield "the name of a LoRA adapter is empty", "Use the name that requests will give."
    match each:
        case Adapter():
            yield from _mounted(name, each)
        case Hub():
            yield from _downloaded(name, each, release)
        case Local() | Package() | Web() | Bucket():
            yield (
                f'adapter "{name}" needs its path on the server: vLLM reads paths in multi_lora.json as they are',
                f"Set it to `{{path: /PATH/ON/THE/SERVER, source: {each.text}}}`.",
            )


def _mounted(name: str, each: Adapter) -> Iterator[tuple[str, str]]:
    if not each.path.startswith("/"):
        yield (
            f'the path of adapter "{name}" must be absolute, not "{each.path}"',
            "Set path to the directory on the server, such as `/mnt/lora/NAME`.",
        )
    if isinstance(each.source, Hub):
        yield (
            f'the source of adapter "{name}" must be a directory or a package',
            "Download the adapter, or remove source, which is only for checks.",
        )


def _downloaded(name: str, each: Hub, release: Release) -> Iterator[tuple[str, str]]:
    if not release.has("vllm-lora-from-hub"):
        yield (
            f"the vLLM of Triton {release.name} does not download LoRA adapters",
            f'Use a newer release, or download adapter "{name}" and set it to `{{path: /PATH}}`.',
        )
    if each.revision is not None:
        yield (
            f'vLLM downloads adapter "{name}" without a revision, so "@{each.revision}" has no effect',
            f"Write hf://{each.id}, or download the adapter and set it to `{{path: /PATH}}`.",
        )


def _arguments(name: str, model: Any, release: Release) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield the engine arguments and sampling parameters that conflict with the adapters."""
    at: Places = model.places
    enabled = model.args.get("enable_lora", True)
    if str(enabled).lower() != "true":
        message = f'args set enable_lora to {enabled!r}, but generator "{name}" has LoRA adapters'
        yield wrong(at, "args.enable_lora", message, "Remove enable_lora from args, or remove lora.")
    rank = model.args.get("max_lora_rank", DEFAULT_RANK)
    if rank not in ranks(release) or isinstance(rank, bool):
        message = f"max_lora_rank cannot be {rank!r} in the vLLM of Triton {release.name}"
        yield wrong(at, "args.max_lora_rank", message, f"Use {either(map(str, ranks(release)))}.")
    chosen = model.sampling.get("lora_name")
    if chosen is not None and chosen not in model.lora:
        message = f'sampling names the LoRA adapter "{chosen}", which is not in lora'
        yield wrong(at, "sampling.lora_name", message, f"Use {either(model.lora)}, or add it to lora.")


def gather(model: Any, gathering: Gathering) -> dict[str, Facts]:  # noqa: ANN401  the part's keys
    """Return the facts of the adapters whose files the build can read; raise Stop with everything wrong in them."""
    release = RELEASES[gathering.stack.target.release]
    most = model.args.get("max_lora_rank", max(ranks(release)))
    faults = Faults()
    read = {
        name: faults.tried(partial(_facts, name, each, most, gathering), None)
        for name, each in model.lora.items()
        if isinstance(each, Adapter) and each.source is not None
    }
    faults.stop()
    return {name: facts for name, facts in read.items() if facts is not None}


def _facts(name: str, each: Adapter, most: int, gathering: Gathering) -> Facts:
    """Return the facts of an adapter; raise Stop if vLLM could not load it."""
    at = each.places["source"]
    assert each.source is not None  # noqa: S101  see gather
    found = adapter.facts(gathering.resolve(each.source, at), at)
    if found.rank > most:
        message = f'adapter "{name}" has rank {found.rank}, but max_lora_rank is at most {most}'
        raise fatal(adapter.RULE, at, message, "Raise max_lora_rank in args, or use an adapter of a smaller rank.")
    return found


def engine(model: Any, found: Mapping[str, Facts], release: Release) -> dict[str, Any]:  # noqa: ANN401  the part's keys
    """Return the engine arguments that the adapters need, in the form that this release's backend reads."""
    if not model.lora:
        return {}
    needed = max((facts.rank for facts in found.values()), default=DEFAULT_RANK)
    rank = next(rank for rank in ranks(release) if rank >= needed)
    enabled = True if release.has("vllm-lora-as-boolean") else "true"
    return {"enable_lora": enabled} | ({"max_lora_rank": rank} if rank > DEFAULT_RANK else {})


def listed(adapters: Adapters) -> dict[str, str]:
    """Return the content of multi_lora.json: the path or Hub id of each adapter."""
    return {
        name: each.path if isinstance(each, Adapter) else each.id
        for name, each in adapters.items()
        if isinstance(each, Adapter | Hub)
    }


def doubts(name: str, model: Any, found: Mapping[str, Facts]) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield a warning for each adapter of another model, and for each that can change on the Hub."""
    for adapter_name, each in model.lora.items():
        at = model.places[f"lora.{adapter_name}"]
        if isinstance(each, Hub):
            message = f'adapter "{adapter_name}" of "{name}" can change on the Hugging Face Hub, where it is not pinned'
            hint = "Download it to a disk of the server, and set it to `{path: /PATH}`."
            yield Diagnostic("source-not-pinned", Severity.WARNING, at, message, hint)
        base = found[adapter_name].base if adapter_name in found else ""
        if isinstance(model.source, Hub) and HUB_ID.fullmatch(base) and base.lower() != model.source.id.lower():
            message = f'adapter "{adapter_name}" was trained on {base}, but "{name}" runs {model.source.id}'
            hint = "Check that both are the same model; if not, vLLM rejects the adapter or its answers are noise."
            yield Diagnostic(BASE, Severity.WARNING, at, message, hint)
