"""A failed request as a line for a shell: curl with the JSON form of the request, or why JSON cannot carry it.

Sources: Triton's docs/protocol/extension_generate.md; src/http_server.cc, which refuses FP16 and BF16 as JSON.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.secrets import shown
from tritonrepo.server.tensors import Request, Tensor
from tritonrepo.smoke.case import Case, Protocol

BINARY = {"FP16", "BF16"}
"""Data types that the server takes and returns in binary only."""

LONGEST = 4000
"""How many characters the body of a request may have in a line that someone copies."""


def repeated(endpoint: Endpoint, case: Case, protocol: Protocol, outputs: Iterable[str] = ()) -> str:
    """Return the line that repeats a case's request; `outputs`: the data types of the model's outputs."""
    only = f"--only {shlex.quote(case.request.model)}"
    try:
        body = _stream(case.request) if case.streamed else _body(case.request, outputs)
    except ValueError as error:
        return f"To repeat it, add `{only}`: {error}."
    text = json.dumps(body)
    if len(text) > LONGEST:
        return f"To repeat it, add `{only}`: the request is too long for a line."
    over = "" if protocol is Protocol.HTTP else " over HTTP"
    return f"To repeat it{over}: {' '.join(_curl(endpoint, case, text, binary=not BINARY.isdisjoint(outputs)))}"


def _curl(endpoint: Endpoint, case: Case, body: str, *, binary: bool) -> Iterator[str]:
    request, tls = case.request, endpoint.tls
    yield "curl -sS -N" if case.streamed else "curl -sS"
    for option, file in (("--cacert", tls.ca), ("--cert", tls.certificate), ("--key", tls.key)):
        if file and endpoint.address().secure:
            yield f"{option} {shlex.quote(str(file))}"
    for name, value in shown(endpoint.headers, endpoint.variables).items():
        yield f"-H {_quoted(name, value, variable=name in endpoint.variables)}"
    version = f"/versions/{request.version}" if request.version else ""
    action = "generate_stream" if case.streamed else "infer"
    path = f"/v2/models/{quote(request.model, safe='')}{version}/{action}"
    yield shlex.quote(endpoint.whole_url.rstrip("/") + path)
    yield f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    if binary and not case.streamed:
        yield "--output response.bin"


def _quoted(name: str, value: str, *, variable: bool) -> str:
    """Return a header in quotes; the shell replaces `$VARIABLE` in double ones."""
    if not variable:
        return shlex.quote(f"{name}: {value}")
    return '"' + re.sub(r'(["\\`])', r"\\\1", f"{name}: {value}") + '"'


def _body(request: Request, outputs: Iterable[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "inputs": [
            {"name": t.name, "datatype": t.datatype, "shape": list(t.values.shape), "data": [*_values(t)]}
            for t in request.inputs
        ]
    }
    if parameters := request.parameters() | ({} if BINARY.isdisjoint(outputs) else {"binary_data_output": True}):
        body["parameters"] = parameters
    return body


def _stream(request: Request) -> dict[str, Any]:
    """Return the body of a stream, whose inputs are values or lists by name."""
    body: dict[str, Any] = {}
    for tensor in request.inputs:
        if tensor.values.size != max(tensor.values.shape, default=1):
            raise ValueError("a stream over HTTP takes lists of one dimension only")
        values = [*_values(tensor)]
        body[tensor.name] = values[0] if len(values) == 1 else values
    if parameters := request.parameters():
        body["parameters"] = parameters
    return body


def _values(tensor: Tensor) -> Iterator[object]:
    if tensor.datatype in BINARY:
        raise ValueError(f"JSON cannot carry {tensor.datatype}, which input {tensor.name} has")
    if tensor.values.size > LONGEST:
        raise ValueError("the request is too long for a line")
    for value in tensor.values.ravel().tolist():
        if isinstance(value, bytes):
            yield _text(value, tensor.name)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"JSON cannot carry {value}, which input {tensor.name} has")
        else:
            yield value


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"JSON cannot carry the bytes of input {name}, which are not UTF-8") from None
