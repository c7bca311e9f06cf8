"""The GPUs of a plan: what those of a replica hold of each generator, and which others would hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.bench.planning import Alternative, Memory
from tritonrepo.deploy.room import HALF, Engine, Room, room
from tritonrepo.diagnostics import some
from tritonrepo.flows.deployed import Source
from tritonrepo.flows.fit import of_repository
from tritonrepo.flows.generating import Chosen
from tritonrepo.llm.advice import more_gpus
from tritonrepo.llm.fitting import Fits, Held, Loaded, fits
from tritonrepo.llm.gpus import BFLOAT16, Gpu, Range, gpus, reported
from tritonrepo.llm.memory import Share
from tritonrepo.llm.serving import versions
from tritonrepo.plain import inline
from tritonrepo.tree import amount

WITH = "GPU with "
NOT_KNOWN = "its GPUs are not known; name them with --gpu"


class Lengths(NamedTuple):
    """Tokens of a request and of its answer; None where nobody says."""

    input_tokens: float | None = None
    output_tokens: float | None = None

    @property
    def each(self) -> int | None:
        """The tokens that a request has in the cache when it ends."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return max(1, -int(-(self.input_tokens + self.output_tokens) // 1))


def called(source: Source) -> str:
    """Return the name of the GPUs, or their memory if several kinds have it; "" if neither is known."""
    target = source.target
    if target.gpu is not None or target.gpu_memory is None:
        return target.gpu.name if target.gpu is not None else ""
    sold = reported(target.gpu_memory)[1]
    return sold if sold and "," not in sold else f"{WITH}{amount(target.gpu_memory)}"


def replica_gpus(source: Source) -> int:
    """Return the GPUs of a pod: as many as the target has, or else as the models use."""
    if source.target.gpus_said:
        return max(0, source.target.gpus)
    found = of_repository(source.found, ())
    used = max([0, *(load.gpu + 1 for load in found.loads)])
    engines = [each for each in found.engines if each.places]
    return found.gpus if engines else used


def memory(source: Source, generators: Sequence[Chosen], lengths: Lengths) -> tuple[Memory, ...]:
    """Return what the GPUs hold of each generator: in Triton those of the target, behind an endpoint the same kind."""
    copies = {each.model: len(each.places) for each in of_repository(source.found, ()).engines}
    return tuple(_memory(source, given, lengths, copies.get(given.one.name, 1)) for given in generators)


def engine(source: Source, given: Chosen) -> Engine:
    """Return what decides on the memory of a generator; behind an endpoint, as the newest vLLM that is known."""
    version = source.target.release.vllm or ""
    return Engine(given.one.facts, given.one.arguments, versions()[-1] if given.one.url else version)


def _memory(source: Source, given: Chosen, lengths: Lengths, copies: int) -> Memory:
    target, made = source.target, engine(source, given)
    name = target.gpu.name if target.gpu is not None else ""
    if not made.vllm:
        return _unknown(given, name, lengths, f"the vLLM of Triton {target.release.name} is not known")
    if target.gpu_memory is None:
        return _unknown(given, name, lengths, NOT_KNOWN)
    found = room(made, name, target.gpu_memory)
    return _held(given, found if name else found._replace(gpu=called(source)), lengths, max(1, copies))


def _unknown(given: Chosen, gpu: str, lengths: Lengths, why: str) -> Memory:
    """Return that what the GPUs hold is not known, and why."""
    one, each = given.one, lengths.each or 0
    return Memory(one.name, gpu, one.gpus, Fits.UNKNOWN, None, None, each, "", elsewhere=bool(one.url), why=why)


def _held(given: Chosen, found: Room, lengths: Lengths, copies: int) -> Memory:
    one, share, held = given.one, found.share, found.held
    if share is None or held is None or held.settings is None:
        return _unknown(given, found.gpu, lengths, found.why)
    engines = copies * held.settings.replicas
    each = lengths.each or max(1, share.max_model_len)
    slots, by = _slots(share, held, each)
    return Memory(
        one.name,
        found.gpu,
        one.gpus,
        fits(share),
        share.tokens.times(engines),
        slots * engines,
        each,
        by,
        share.max_model_len,
        bool(one.url),
        "; ".join(held.doubts),
    )


def _slots(share: Share, held: Held, each: int) -> tuple[int, str]:
    """Return how many requests of so many tokens one engine runs at a time at least, and what limits them."""
    cached = int(share.tokens.low // each)
    most = int(held.settings.sequences.low) if held.settings is not None else cached
    return (most, "max_num_seqs") if most < cached else (cached, "KV cache")


def alternatives(source: Source, generators: Sequence[Chosen], lengths: Lengths) -> Iterator[Alternative]:
    """Yield the known GPUs, each with how many of them hold the generators of a replica, the smallest first."""
    engines = [engine(source, given) for given in generators]
    if not engines or any(each.facts is None or not each.vllm for each in engines):
        return
    known = [each for each in gpus().values() if each.memory]
    shared = [load for load in of_repository(source.found, ()).loads if load.engines and load.others]
    for each in sorted(known, key=lambda one: one.memory or 0):
        yield _beside(shared, each.memory or 0, _alternative(each, engines, lengths))


def _beside(shared: Sequence[Loaded], memory: int, found: Alternative) -> Alternative:
    """Return what a kind of GPU holds if other models are on those of the engines, as in the repository."""
    total, _ = reported(memory)
    for load in shared:
        left = total.times(max(0.0, 1 - load.utilization)).less(Range(load.weights, load.weights))
        if found.state is not Fits.NO and left.high < 0:
            names = some([inline(name) for name in load.others], 2)
            return found._replace(state=Fits.NO, sequences=None, left=None, note=f"no room for {names} beside")
    return found


def _alternative(kind: Gpu, engines: Sequence[Engine], lengths: Lengths) -> Alternative:
    found = [_on(kind, each, lengths) for each in engines]
    order = (Fits.NO, Fits.UNKNOWN, Fits.MAYBE, Fits.YES)
    worst = min(found, key=lambda one: order.index(one.state))
    sequences = [one.sequences for one in found if one.sequences is not None]
    left = [one.left for one in found if one.left is not None]
    number = sum(one.gpus for one in found)
    return Alternative(
        kind.name,
        number,
        worst.state,
        min(sequences) if len(sequences) == len(found) else None,
        min(left) if len(left) == len(found) else None,
        worst.note,
    )


def _on(kind: Gpu, made: Engine, lengths: Lengths) -> Alternative:
    held = made.held(kind.memory or 0)
    share, settings = held.share, held.settings
    if share is None or settings is None or held.facts is None:
        return Alternative(kind.name, 0, Fits.UNKNOWN, None, None, held.unread)
    if kind.below(BFLOAT16) and made.arguments.get("dtype") not in HALF:
        return Alternative(kind.name, settings.gpus, Fits.NO, None, None, "no bfloat16")
    each, number, note = lengths.each or max(1, share.max_model_len), settings.gpus, ""
    if fits(share) is not Fits.YES and (wider := more_gpus(held.facts, settings, held.total)) is not None:
        share, note = wider.share, f"with {wider.change}"
        number = settings.gpus // settings.tensor * int(wider.change.rpartition(" ")[2])
    state = fits(share)
    if state is Fits.NO:
        return Alternative(kind.name, number, state, None, None, "too small")
    sequences, _ = _slots(share, held, each)
    return Alternative(kind.name, number, state, sequences * settings.replicas, max(0.0, share.cache.low), note)
