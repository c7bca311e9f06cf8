"""/v1/embeddings: the vectors of texts.

Source of the form: https://platform.openai.com/docs/api-reference/embeddings; the official client asks for base64 by
itself, and reads little-endian float32 (resources/embeddings.py). `input_type`, `truncate` and the suffixes of models
are those of NVIDIA NIM (https://docs.nvidia.com/nim/nemo-retriever/text-embedding/latest/reference.html).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tritonrepo.gateway.answering import count, read
from tritonrepo.gateway.fields import Fields, Number, sendable, shown
from tritonrepo.gateway.gate import Gate
from tritonrepo.gateway.problem import Problem, wrong
from tritonrepo.gateway.telling import Asked, Out, dumped
from tritonrepo.gateway.together import together
from tritonrepo.server.calls import BROKEN, CallError, Context
from tritonrepo.server.offering import Offer, vector
from tritonrepo.server.tensors import Request, of_values

KNOWN = frozenset(
    {"model", "input", "encoding_format", "dimensions", "input_type", "truncate", "modality"},
)
TYPES = ("query", "passage")
MOST = 2048
"""How many texts a request may have, as OpenAI's."""

PAUSE = 16
"""After how many vectors other requests have their turn."""

AT_ONCE = 4
"""How many batches of one request are sent at once."""


async def embed(gate: Gate, asked: Asked, out: Out) -> None:
    """Send the vectors of the texts of a request."""
    fields = Fields(asked.body, KNOWN)
    texts, form = _texts(fields), fields.one_of("encoding_format", ("float", "base64"), "float")
    if fields.one_of("truncate", ("NONE", "START", "END"), "END") != "END":
        raise wrong("`truncate` must be END: the embedder cuts texts at their end", "truncate", "unsupported_parameter")
    fields.one_of("modality", ("text",), "text")
    offer, kind = await _named(gate, fields)
    asked.model = offer.name
    wanted = fields.number("dimensions", Number(1, 1 << 20, whole=True))
    if kind and "input_type" not in offer.inputs:
        raise wrong(f"the model `{offer.name}` takes no input type", "input_type")
    batches = await _batches(gate, offer, (texts, kind), asked.context(gate.options.timeout_s))
    rows = [row for batch in batches for row in batch.rows]
    if wanted is not None and wanted != len(rows[0]):
        message = f"the model `{offer.name}` has {len(rows[0])} dimensions, which cannot be changed to {wanted}"
        raise wrong(message, "dimensions")
    usage = read(gate, asked.model, [batch.tokens for batch in batches])
    await out.whole(b"".join([piece async for piece in _listed(rows, form, asked.model, usage)]))


def _texts(fields: Fields) -> list[str]:
    given = fields.values.get("input")
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed:
        raise wrong("`input` must be a string or a list of strings", "input")
    if len(listed) > MOST:
        raise wrong(f"`input` must have at most {MOST} texts, not {len(listed)}", "input")
    for each in listed:
        if not isinstance(each, str):
            what = "lists of tokens are not supported" if isinstance(each, int | list) else f"not {shown(each)}"
            raise wrong(f"`input` must be a string or a list of strings; {what}", "input")
    return [sendable(each) for each in listed]


async def _named(gate: Gate, fields: Fields) -> tuple[Offer, str]:
    """Return the model and the type of its texts: as the request says, as the model's suffix does, or the default."""
    name = fields.text("model")
    said = fields.one_of("input_type", TYPES, gate.options.input_type or TYPES[0])
    kind = said if "input_type" in fields.values else gate.options.input_type
    for each in TYPES:
        own = name.removesuffix(f"-{each}")
        if own != name and name not in await gate.offers.all():
            if "input_type" in fields.values and said != each:
                raise wrong(f"`input_type` is {said}, but the model's suffix is -{each}", "input_type")
            name, kind = own, each
            break
    offer = await gate.offers.get(name, "embeddings")
    chosen = "input_type" in fields.values or kind != gate.options.input_type
    return offer, kind if chosen or "input_type" in offer.inputs else ""


class Batch(NamedTuple):
    """The vectors of some texts, and how many tokens were read for them, None if the embedder does not say."""

    rows: list[Any]
    tokens: int | None


async def _batches(gate: Gate, offer: Offer, given: tuple[list[str], str], about: Context) -> list[Batch]:
    """Return the vectors of all texts, in batches of the size that the model takes."""
    texts, kind = given
    size = max(1, offer.batch)

    async def batch(own: list[str]) -> Batch:
        return await _vectors(gate, offer, (own, kind), about)

    batches = [texts[start : start + size] for start in range(0, len(texts), size)]
    return await together(batch, batches, AT_ONCE)


async def _vectors(gate: Gate, offer: Offer, given: tuple[list[str], str], about: Context) -> Batch:
    texts, kind = given
    named = next(name for name, each in offer.inputs.items() if not each.optional)
    inputs = [of_values(named, "BYTES", texts, _shape(offer, named, len(texts)))]
    if kind:
        inputs.append(of_values("input_type", "BYTES", [kind] * len(texts), _shape(offer, "input_type", len(texts))))
    output = vector(offer.outputs) or ""
    made = await gate.calls.infer(Request(offer.name, "", (*inputs,)), about)
    found = made.get(output)
    if found is None or found.values.ndim < 1 or found.values.size == 0:
        raise CallError(BROKEN, f"the response has no vectors in `{output}`")
    rows = found.values.reshape(-1, found.values.shape[-1])
    if len(rows) != len(texts):
        raise CallError(BROKEN, f"the response has {len(rows)} vectors for {len(texts)} texts")
    return Batch([*rows], count(made, "num_input_tokens"))


def _shape(offer: Offer, name: str, rows: int) -> list[int]:
    own = [1] * offer.inputs[name].axes
    return [rows, *own] if offer.batch else own


async def _listed(rows: list[Any], form: str, model: str, usage: dict[str, int] | None) -> AsyncIterator[bytes]:
    """Yield the response row by row: a million numbers take a second, in which answers must go on."""
    yield b'{"object":"list","data":['
    for place, row in enumerate(rows):
        comma = b"," if place else b""
        yield comma + dumped({"object": "embedding", "index": place, "embedding": _written(row, form)})
        if place % PAUSE == 0:
            await asyncio.sleep(0)
    yield b'],"model":' + dumped(model) + b',"usage":' + dumped(usage) + b"}"


def _written(row: Any, form: str) -> list[float] | str:  # noqa: ANN401  an array
    import numpy as np

    if form == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    if not np.isfinite(row).all():
        raise Problem(502, "the vector has values that are not finite numbers", code="data_loss")
    return [float(each) for each in row.tolist()]
