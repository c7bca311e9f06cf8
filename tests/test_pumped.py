"""Texts made to keep a regular expression busy: each of the package is done with them in one go."""

from __future__ import annotations

from tests.ending import Stuck, ending
from tests.pumped import Used, texts, used
from tests.tabled import tabled
from tritonrepo.diagnostics import Span
from tritonrepo.spec.compose import interpolate
from tritonrepo.spec.nodes import Scalar
from tritonrepo.stores.s3 import PLAIN_KEY

COUNT = 10_000
"""How often a part stands there: one that is linear reads that in 0.02 s, another one takes 0.5 s or minutes."""
LINEAR_S = 0.2


def test_every_pattern_reads_a_text_once() -> None:
    slow = []
    for place, each in used().items():
        try:
            read(each)
        except Stuck:
            slow.append(place)
    assert slow == []


def read(used: Used) -> None:
    for text in texts(used.pattern, COUNT):
        subject = text.encode("latin-1") if isinstance(used.pattern.pattern, bytes) else text
        with ending("work", LINEAR_S):
            for call in used.calls:
                if call in {"match", "fullmatch"}:
                    getattr(used.pattern, call)(subject)
                else:
                    for _ in used.pattern.finditer(subject):
                        pass


def test_variables_that_nobody_closes_are_read_once() -> None:
    text = "${a:-" * COUNT
    with ending("work"):
        assert interpolate(Scalar(Span("f"), text, "str"), {}) == Scalar(Span("f"), text, "str")
        assert interpolate(Scalar(Span("f"), f"{text}$${{", "str"), {}) == Scalar(Span("f"), f"{text}${{", "str")


@tabled(
    ("key", "plain"),
    [
        ("m/1/" + "/".join(["a" * 200] * 4) + "/...", False),
        ("m/1/" + "/".join(["a" * 200] * 4) + "/..a", True),
        ("m/./config.pbtxt", False),
        ("m/1/.config", True),
        ("m/1/a..b", True),
        (".m/1", False),
        ("m//1", False),
        ("m/1 ", False),
    ],
)
def test_which_keys_are_plain(key: str, plain: bool) -> None:  # noqa: FBT001  a row of the table
    with ending("work"):
        assert bool(PLAIN_KEY.fullmatch(key)) is plain
