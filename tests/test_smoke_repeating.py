"""The line that repeats a failed request: a shell sends with it what was sent, and learns no secret."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from tests.tabled import tabled
from tritonrepo.diagnostics import Span
from tritonrepo.server.endpoint import Endpoint, Tls
from tritonrepo.server.tensors import Request, Tensor, of_values
from tritonrepo.smoke.case import Case, Check, Protocol
from tritonrepo.smoke.judge import anything
from tritonrepo.smoke.repeating import LONGEST, repeated

HOSTILE = 'it\'s $(touch x) `touch x` "$HOME" \\ %s \n::error::\x1b[1m é'
NUMBERS = of_values("N", "INT64", [1, -2], [2, 1])


def case(*inputs: Tensor, name: str = "m", streamed: bool = False, sequence: int = 0) -> Case:
    return Case(Check.ANSWER, Request(name, "1", inputs, sequence), anything, Span("x"), streamed=streamed)


def sent(line: str, *, token: str = "") -> list[str]:
    """Return the arguments that a shell gives to curl."""
    script = 'curl() { printf "%s\\0" "$@"; }\n' + line.partition(": ")[2]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "TOKEN": token}
    done = subprocess.run(["sh", "-c", script], env=environment, check=True, capture_output=True, cwd="/")
    return done.stdout.decode().split("\0")[:-1]


def body(arguments: list[str]) -> Any:  # noqa: ANN401  JSON
    return json.loads(arguments[arguments.index("-d") + 1])


def test_a_shell_sends_what_was_sent() -> None:
    texts = of_values("T", "BYTES", [HOSTILE, ""], [1, 2])
    values = Tensor("F", "FP32", np.array([0.1], np.float32))
    line = repeated(Endpoint("h:1/behind"), case(texts, NUMBERS, values, name=HOSTILE, sequence=7), Protocol.HTTP)
    assert "\n" not in line
    assert line.startswith("To repeat it: curl -sS http://h:1/behind/v2/models/it%27s%20%24%28touch")
    arguments = sent(line)
    assert body(arguments) == {
        "inputs": [
            {"name": "T", "datatype": "BYTES", "shape": [1, 2], "data": [HOSTILE, ""]},
            {"name": "N", "datatype": "INT64", "shape": [2, 1], "data": [1, -2]},
            {"name": "F", "datatype": "FP32", "shape": [1], "data": [float(np.float32(0.1))]},
        ],
        "parameters": {"sequence_id": 7, "sequence_start": True, "sequence_end": True},
    }
    assert arguments[arguments.index("-H") + 1] == "Content-Type: application/json"


def test_a_stream_is_repeated_as_one() -> None:
    one = of_values("T", "BYTES", ["a"], [1, 1])
    line = repeated(Endpoint("h:1"), case(one, NUMBERS, streamed=True), Protocol.GRPC)
    assert line.startswith("To repeat it over HTTP: curl -sS -N http://h:1/v2/models/m/versions/1/generate_stream -H")
    assert body(sent(line)) == {"T": "a", "N": [1, -2]}


def test_connection_and_headers_are_repeated_with_the_variable_of_a_secret() -> None:
    headers = {"authorization": "Bearer hunter22", "x-key": "hunter22", "x-tenant": "a 'b' $HOME"}
    tls = Tls(Path("my ca.pem"), Path("c.pem"), Path("k.pem"))
    endpoint = Endpoint("https://h", headers=headers, tls=tls, variables={"authorization": "Bearer $TOKEN"})
    line = repeated(endpoint, case(NUMBERS), Protocol.HTTP)
    assert "hunter22" not in line
    arguments = sent(line, token='s$"`x')
    assert arguments[1:7] == ["--cacert", "my ca.pem", "--cert", "c.pem", "--key", "k.pem"]
    said = [arguments[i + 1] for i, each in enumerate(arguments) if each == "-H"]
    assert said == [
        'authorization: Bearer s$"`x', "x-key: ***", "x-tenant: a 'b' $HOME", "Content-Type: application/json",
    ]  # fmt: skip


HALF = Tensor("H", "FP16", np.ones([1], np.float16))
CANNOT: dict[str, tuple[Case, str]] = {
    "half precision": (case(HALF), "JSON cannot carry FP16, which input H has"),
    "bfloat16": (case(Tensor("H", "BF16", np.ones([1], np.float32))), "JSON cannot carry BF16"),
    "no number": (case(Tensor("F", "FP32", np.array([np.nan], np.float32))), "JSON cannot carry nan, which input F"),
    "bytes": (case(of_values("T", "BYTES", [b"\xff"], [1])), "JSON cannot carry the bytes of input T"),
    "many values": (case(of_values("N", "INT64", range(LONGEST + 1), [LONGEST + 1])), "is too long for a line"),
    "a long text": (case(of_values("T", "BYTES", ["x" * LONGEST], [1])), "the request is too long for a line"),
    "a matrix for a stream": (
        case(of_values("N", "INT64", [1, 2, 3, 4], [2, 2]), streamed=True), "takes lists of one dimension only",
    ),
}  # fmt: skip


@tabled(("sends", "says"), CANNOT.values(), ids=CANNOT)
def test_what_json_cannot_carry_is_said(sends: Case, says: str) -> None:
    line = repeated(Endpoint("h:1"), sends, Protocol.HTTP)
    assert line.startswith("To repeat it, add `--only m`: ")
    assert says in line


def test_an_output_that_json_cannot_carry_is_asked_for_in_binary() -> None:
    line = repeated(Endpoint("h:1"), case(NUMBERS), Protocol.HTTP, ["FP32", "FP16"])
    arguments = sent(line)
    assert arguments[-2:] == ["--output", "response.bin"]
    assert body(arguments)["parameters"] == {"binary_data_output": True}
