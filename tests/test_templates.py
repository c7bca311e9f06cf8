"""Templates that compute without end, take all memory or never get anywhere: told by `build`, which outlives them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLE
from tests.pumped import ended
from tests.test_export import llama_metadata, write_gguf
from tests.test_own_stacks import ANSWER, own
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sources import template
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.template import Jinja, Said
from tritonrepo.tree import File

__all__ = ["own"]

CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
TIME = "it takes more than 3 s of processor time"
MEMORY = "it needs more than 256 MiB of memory"

TEMPLATES = {
    "a power without end, folded as a constant": ("{{ 9**(9**9) }}", TIME),
    "all memory, which folding swallows": ("{{ ('a'*2900000000)|length }}", MEMORY),
    "all memory by a format": ("{{ ('%999999999d' % 1)|length }}", MEMORY),
    "a loop without end": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", TIME),
    "a text that doubles": (
        "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        MEMORY,
    ),
    "a text without end": (
        "{% for a in range(99999) %}{% for b in range(99999) %}abc{% endfor %}{% endfor %}",
        "it writes more than 1,000,000 characters",
    ),
    "a long text in one piece": ("{{ 'a' * 2000000 }}", "it writes more than 1,000,000 characters"),
    "an attribute of nothing": ("{{ nothing.of.it }}", "'nothing' is undefined"),
    "what the sandbox keeps back": ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object"),
    "a call of itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
}
PROMPTS = {name: row for name, row in TEMPLATES.items() if "nothing" not in name} | {
    "an attribute that texts have not": ("{{ query.no.way }}", "'str object' has no attribute 'no'"),
    "brackets without end": ("{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}", "is not a Jinja template"),
    "more than a megabyte": ("a" * (1 << 20), "but at most 1,048,576 are allowed"),
}


@pytest.mark.parametrize(("text", "message"), PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_that_ends_nowhere_is_told(
    own: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["index"]) == 0
    (own / "p.j2").write_text("{{ query }}" + text, "utf-8")
    with ended():
        assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert "p.j2" in said
    assert message in said
    assert not (own / "model_repository").exists()


def served(own: Path, **metadata: Any) -> None:  # noqa: ANN401  one value of any type that GGUF has
    """Write a local GGUF file for the stack's generator."""
    changes = {f"tokenizer.{key}": value for key, value in metadata.items()}
    write_gguf(own / "m.gguf", llama_metadata() | {"tokenizer.chat_template": CHAT} | changes, {})
    local = ANSWER[ANSWER.index("local: '") :].split("'")[1]
    (own / "tritonrepo.yaml").write_text(ANSWER.replace(local, "./m.gguf"), "utf-8")


@pytest.mark.parametrize(("text", "message"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_chat_template_that_ends_nowhere_is_told(
    own: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    served(own, chat_template=CHAT + text)
    assert run(["index"]) == 0
    with ended():
        assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert "the model's chat template cannot be rendered" in said
    assert message in said
    assert "tritonrepo.yaml:5:" in said


CHATS = {
    "nothing at all": ("", "omits the user's message"),
    "another form of messages": (
        "{% for m in messages %}{{ m.text }}{% endfor %}",
        "omits the user's message",
    ),
    "what it refuses": (CHAT + "{{ raise_exception('no system role') }}", "no system role"),
    "an open block": ("{% for m in messages %}", "the model's chat template cannot be parsed: Unexpected end"),
    "another file": (CHAT + "{% include 'x' %}", "uses x, but it must be complete by itself"),
}


@pytest.mark.parametrize(("text", "message"), CHATS.values(), ids=CHATS)
def test_a_chat_template_that_makes_no_prompt_is_told(
    own: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    served(own, chat_template=text)
    assert run(["index"]) == 0
    assert run(["build"]) == 2
    assert message in capsys.readouterr().err


def test_an_ordinary_chat_template_is_taken(own: Path) -> None:
    served(own)
    assert run(["index"]) == 0
    assert run(["build"]) == 0


@pytest.mark.parametrize("token", ["  ", " ", "\n", "\t ", " x", "a"])
def test_a_special_token_that_no_prompt_can_keep_out_is_refused(
    own: Path, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    metadata = llama_metadata()
    words = [*metadata["tokenizer.ggml.tokens"], token]
    if token in words[:-1]:
        kinds = [
            3 if word == token else kind
            for word, kind in zip(words, metadata["tokenizer.ggml.token_type"], strict=False)
        ]
        words.pop()
    else:
        kinds = [*metadata["tokenizer.ggml.token_type"], 3]
    served(own, **{"ggml.tokens": words, "ggml.token_type": kinds})
    assert run(["index"]) == 0
    assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert f"m.gguf has the special token {token!r}, which cannot be kept out of the texts in a prompt" in said


@pytest.fixture
def jinja(tmp_path: Path) -> Jinja:
    """The Jinja of the steps, with a cache that has no templates yet."""
    loaded = load([EXAMPLE], Workspace(os.environ))
    packages = loaded.gathering().vendored()
    return Jinja(packages, Cache(tmp_path / "cache"))


def judged(jinja: Jinja, text: str, **given: object) -> list[Said]:
    """Return the results of trials; none if the template is cached."""
    said: list[Said] = []
    jinja.tried(text, given, "trying", said.append)
    return said


def test_a_template_is_tried_once(jinja: Jinja) -> None:
    assert [said.written for said in judged(jinja, "{{ a }}", a=1)] == ["1"]
    assert judged(jinja, "{{ a }}", a=1) == []


def test_what_judged_it_is_part_of_what_is_known(jinja: Jinja, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{{ a }}"
    assert judged(jinja, text, a=1)
    assert judged(jinja, text, a=2)
    name, file = next(iter(jinja.packages["jinja2"].items()))
    other = dict(jinja.packages["jinja2"]) | {name: File(file.size, file.read, file.place, "0" * 64)}
    assert judged(jinja._replace(packages={**jinja.packages, "jinja2": other}), text, a=1)
    for limit in ("CPU_S", "MEMORY", "LONGEST", "WALL_S"):
        with monkeypatch.context() as changed:
            changed.setattr(template, limit, getattr(template, limit) - 1)
            assert judged(jinja, text, a=1)
    with monkeypatch.context() as changed:
        changed.setattr(template, "_script", lambda: b"another")
        assert judged(jinja, text, a=1)
    assert judged(jinja, text, a=1) == []


def test_a_template_that_was_refused_is_tried_again(jinja: Jinja) -> None:
    def refuse(said: Said) -> None:
        raise Stop([]) if said.error else AssertionError

    for _ in range(2):
        with pytest.raises(Stop):
            jinja.tried("{{ a.b.c }}", {"a": 1}, "trying", refuse)


def test_a_trial_that_never_ends_is_ended(jinja: Jinja, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "WALL_S", 0.001)
    (said,) = judged(jinja, "{{ a }}")
    assert said.error == "it did not finish within 0.001 s"
