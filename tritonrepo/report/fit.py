"""The memory of GPUs, as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.llm.fitting import Fit, Fits, Fitted, Loaded
from tritonrepo.llm.gpus import GIB, Range
from tritonrepo.llm.memory import Share
from tritonrepo.plain import printable
from tritonrepo.report import json
from tritonrepo.report.table import table
from tritonrepo.tree import amount

FAR = 10
"""From this many on, a number of sequences has no decimals."""


def text(fit: Fit) -> Iterator[str]:
    """Yield the lines: what the GPUs have, a table of each engine and its options, the GPUs, and what is wrong."""
    yield _title(fit)
    for engine in fit.engines:
        yield from ("", printable(_head(engine)))
        if engine.share is not None:
            yield from table(("", "GiB per GPU", ""), [*_rows(engine, engine.share)]).split("\n")
            yield from _notes(engine, engine.share)
    if fit.loads:
        head = ("GPU", "engines", "take", "other models", "weights", "left GiB")
        yield from ("", *table(head, [_load(load) for load in fit.loads]).split("\n"))
    else:
        nothing = "Nothing could be measured." if fit.found else "No model uses a GPU."
        yield from ("", nothing if fit.models else "There is no model here.")
    for diagnostic in fit.found:
        yield from ("", *diagnostic.lines)


def document(fit: Fit | None, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/fit.schema.json` describes; without a result, what ended the command."""
    found = [*(fit.found if fit else ()), *found]
    severities = Counter(diagnostic.severity for diagnostic in found)
    rest: dict[str, object] = {
        "fits": fit.fits if fit else None,
        "gpus": fit.gpus if fit else None,
        "gpu_memory": {"given": fit.given, "reported": _range(fit.reported), "of": fit.sold} if fit else None,
        "release": fit.release if fit else None,
        "vllm": fit.vllm if fit else None,
        "engines": [_engine(engine) for engine in fit.engines] if fit else [],
        "loads": [_loaded(load) for load in fit.loads] if fit else [],
        "summary": {str(severity): severities[severity] for severity in Severity},
    }
    return json.document(found, rest)


def _title(fit: Fit) -> str:
    server = f"Triton {fit.release}{f' with vLLM {fit.vllm}' if fit.vllm else ''}"
    if not fit.gpus:
        return f"{server} without a GPU."
    count = "1 GPU" if fit.gpus == 1 else f"{fit.gpus} GPUs"
    given, low = amount(fit.given), amount(round(fit.reported.low))
    first = f"{server} on {count} with {given}{f' ({fit.sold})' if fit.sold else ''}."
    if fit.reported.low >= fit.given or low == given:
        return first
    return f"{first} Drivers of these GPUs report {low} or more, so the ranges begin there."


def _head(engine: Fitted) -> str:
    where = " and ".join(dict.fromkeys(_gpus(place) for place in engine.places)) or "no GPU"
    says = engine.fits if engine.share is not None else f"not known: {engine.unread}"
    roughly = f", an estimate: {'; '.join(engine.doubts)}" if engine.doubts else ""
    return f"{engine.path}: {engine.name or 'no model'} on {where}: {says}{roughly}"


def _gpus(place: Sequence[int]) -> str:
    return f"GPU {place[0]}" if len(place) == 1 else _several(place)


def _several(place: Sequence[int]) -> str:
    return f"GPUs {place[0]} {'and' if len(place) == 2 else 'to'} {place[-1]}" if place else "no GPU"  # noqa: PLR2004


def _rows(engine: Fitted, share: Share) -> Iterator[tuple[str, str, str]]:
    yield "vLLM may take", _gib(share.requested), f"{engine.utilization:g} of the GPU" if engine.utilization else ""
    for name, term in share.terms.items():
        known = "known least" if name == share.widest and term.high - term.low > 0 else ""
        decides = "takes most" if name == share.deciding else "" if term.high else "not taken off the cache"
        yield name, _gib(term), ", ".join(filter(None, (decides, known)))
    missing = f"short by {_gib(Range(-share.cache.high, -share.cache.low))}" if share.cache.high < 0 else ""
    yield "left for the KV cache", "nothing" if missing else _gib(share.cache), missing
    yield "a token in it", f"{share.per_token / 1024:g} KiB", ""
    yield "tokens", _whole(share.tokens), ""
    if share.max_model_len:
        asked = f"max_num_seqs is {engine.asked:,}" if engine.asked is not None else ""
        yield f"sequences of {share.max_model_len:,}", _count(share.sequences), asked


def _notes(engine: Fitted, share: Share) -> Iterator[str]:
    enough = engine.asked is None or share.sequences.low >= engine.asked
    if engine.fits is Fits.YES and enough:
        return
    for option in engine.options:
        length = option.share.max_model_len
        yield f"With {option.change}: {_count(option.share.sequences)} sequences of {length:,} tokens."
    if engine.fits is not Fits.YES and not engine.options:
        yield "No quantization and no number of GPUs up to 16 was found with which it surely fits."


def _load(load: Loaded) -> tuple[str, ...]:
    return (
        str(load.gpu),
        _names(load.engines),
        f"{load.utilization:.0%}" if load.utilization else "-",
        _names(load.others),
        amount(load.weights) if load.weights else "-",
        _gib(load.left),
    )


def _names(names: Sequence[str]) -> str:
    counted = Counter(names)
    return ", ".join(f"{name} × {count}" if count > 1 else name for name, count in counted.items()) or "-"


def _gib(found: Range) -> str:
    low, high = (f"{bound / GIB:.1f}" for bound in found)
    return low if low == high else f"{low} to {high}"


def _whole(found: Range) -> str:
    low, high = (f"{int(bound):,}" for bound in found)
    return low if low == high else f"{low} to {high}"


def _count(found: Range) -> str:
    low, high = (f"{bound:.1f}" if bound < FAR else f"{int(bound):,}" for bound in found)
    return low if low == high else f"{low} to {high}"


def _engine(engine: Fitted) -> dict[str, object]:
    share = engine.share
    return {
        "model": engine.model,
        "path": engine.path,
        "name": engine.name,
        "gpus": [list(place) for place in engine.places],
        "state": str(engine.fits),
        "unknown": engine.unread,
        "estimate": list(engine.doubts),
        "max_num_seqs": engine.asked,
        "memory": _share(share) if share is not None else None,
        "options": [{"change": each.change, **_share(each.share)} for each in engine.options],
    }


def _share(share: Share) -> dict[str, object]:
    return {
        "requested": _range(share.requested),
        "terms": {name: _range(term) for name, term in share.terms.items()},
        "takes_most": share.deciding,
        "known_least": share.widest,
        "kv_cache": _range(share.cache),
        "bytes_per_token": int(share.per_token),
        "tokens": _range(share.tokens),
        "max_model_len": share.max_model_len or None,
        "sequences": {"low": round(share.sequences.low, 3), "high": round(share.sequences.high, 3)},
    }


def _loaded(load: Loaded) -> dict[str, object]:
    return {
        "gpu": load.gpu,
        "engines": list(load.engines),
        "utilization": round(load.utilization, 6),
        "others": list(load.others),
        "weights": load.weights,
        "left": _range(load.left),
    }


def _range(found: Range) -> dict[str, int]:
    return {"low": round(found.low), "high": round(found.high)}
