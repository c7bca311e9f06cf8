"""The reader compared with the parser of a real server (verdicts kept by digest), protoc, and Python's protobuf.

The verdicts are those of Triton 2.51.0 (24.10), recorded by benchmarks/soak/pbtxt.py, which compares many more texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

import pytest
from google.protobuf.message import Message as ProtobufMessage

from tests.pbtxt_descriptors import descriptor_set, message_class
from tests.pbtxt_texts import RELEASE, text
from tests.protoc import Verdict, verdicts
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.pbtxt import Parsed, convert, parse
from tritonrepo.pbtxt.schema import model_config

KEPT: dict[str, list[str]] = json.loads((Path(__file__).parent / "data" / "pbtxt_verdicts.json").read_text("utf-8"))
KIND = model_config(RELEASE)


def judged() -> list[tuple[bytes, list[str]]]:
    texts = (made for made in map(text, count()) if b"model_repository_agents" not in made)
    return [(made, KEPT[hashlib.sha256(made).hexdigest()[:16]]) for made in islice(texts, 1000)]


def test_the_servers_words_and_places_for_1000_texts() -> None:
    differ = [
        (made, said, parse(made, RELEASE).log) for made, said in judged() if list(parse(made, RELEASE).log) != said
    ]
    assert differ == []


def test_a_text_with_faults_is_one_that_the_server_refuses() -> None:
    assert all(bool(parse(made, RELEASE).faults) == bool(said) for made, said in judged())
    assert 200 < sum(not said for _, said in judged()) < 800


def entry_twice(parsed: Parsed, _: Verdict) -> bool:
    """Protoc's map entries have no presence bits, so it accepts a second key after "". The server refuses it."""
    return any("Non-repeated field" in line for line in parsed.log)


def newer_words(parsed: Parsed, verdict: Verdict) -> bool:
    """Protobuf 22 and later use other words for a string that is not closed on its line."""
    words = ('Multiline strings are not allowed. Did you miss a "?.', "String literals cannot cross line boundaries.")
    return tuple(line.replace(*words) for line in verdict.log) == parsed.log


def capital_x(parsed: Parsed, _: Verdict) -> bool:
    r"""Protobuf 22 and later read \X41 as \x41."""
    return any("Invalid escape sequence" in line for line in parsed.log)


KNOWN: tuple[Callable[[Parsed, Verdict], bool], ...] = (newer_words, entry_twice, capital_x)
"""Where protoc differs from the server's parser, and we follow the server."""


def test_protoc_says_the_same_but_for_what_is_known() -> None:
    pytest.importorskip("grpc_tools", reason="protoc comes with grpcio-tools")
    texts = [text(number) for number in range(400)]
    differ = []
    for made, verdict in zip(texts, verdicts(texts, descriptor_set(RELEASE)), strict=True):
        parsed = parse(made, RELEASE)
        if parsed.log != verdict.log and not any(known(parsed, verdict) for known in KNOWN):
            differ.append((made, verdict.log, parsed.log))
    assert differ == []


def test_protoc_understands_the_same_message() -> None:
    pytest.importorskip("grpc_tools", reason="protoc comes with grpcio-tools")
    texts = [made for made in map(text, range(400)) if not parse(made, RELEASE).faults]
    same = 0
    for made, verdict in zip(texts, verdicts(texts, descriptor_set(RELEASE)), strict=True):
        if (ours := as_message(parse(made, RELEASE))) is not None:
            theirs = message_class(RELEASE).FromString(verdict.wire)
            assert str(ours) == str(theirs), made
            same += 1
    assert same > 50


def as_message(parsed: Parsed) -> ProtobufMessage | None:
    """Return the protobuf message; None if a string is not UTF-8."""
    message = message_class(RELEASE)()
    try:
        convert.fill(message, convert.to_plain(parsed.root), KIND)
    except Stop:
        return None
    return message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_protobuf_gives_the_same_verdict_but_for_what_is_known() -> None:
    """Python decodes before it reads, so only ASCII is compared; its escapes are those of Python's codecs."""
    texts = [made.decode() for made in map(text, range(3000)) if made.isascii() and b"\\" not in made]
    differ = [made for made in texts if python_reads(made) == bool(parse(made.encode(), RELEASE).faults)]
    assert [made for made in differ if not PYTHON_SIGNS.search(made)] == []
    assert len(texts) > 500


PYTHON_SIGNS = re.compile(r"\+|[0-9]_[0-9]|-[ \t\n\r]|\b0[0-7xX]|[0-9][A-Za-z_.]")
"""What every text that the two judge differently contains: signs and spellings of numbers; see the tables below."""

PYTHON_REFUSES = {
    "a minus with a blank": "max_batch_size: - 8",
    "bools as octal": "response_cache { enable: 01 }",
    "a byte above 127": 'name: "\\377"',
    "half a surrogate pair": 'name: "\\ud83d"',
    "a code point above 10ffff": 'name: "\\U00110000"',
}
PYTHON_ACCEPTS = {
    "a plus": "max_batch_size: +8",
    "underscores": "max_batch_size: 1_000",
    "a no-break space": "max_batch_size:\xa08",
}


@tabled("written", PYTHON_REFUSES.values(), ids=PYTHON_REFUSES)
def test_python_protobuf_refuses_what_the_server_reads(written: str) -> None:
    assert not parse(written.encode(), RELEASE).faults
    assert not python_reads(written)


@pytest.mark.parametrize("written", PYTHON_ACCEPTS.values(), ids=PYTHON_ACCEPTS)
def test_python_protobuf_reads_what_the_server_refuses(written: str) -> None:
    assert parse(written.encode(), RELEASE).faults
    assert python_reads(written)


def python_reads(written: str) -> bool:
    from google.protobuf import text_format

    try:
        text_format.Parse(written, message_class(RELEASE)())
    except (text_format.ParseError, ValueError):
        return False
    return True
