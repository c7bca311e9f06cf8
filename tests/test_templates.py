"""Templates that compute without end, take all memory or never get anywhere: told by `build`, which outlives them."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLE
from tests.ending import ending
from tests.tabled import tabled
from tests.test_export import llama_metadata, write_gguf
from tests.test_own_stacks import ANSWER, entered
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.sources import template, trial
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.template import Given, Jinja, Said, chat_tried
from tritonrepo.tree import File, of_bytes

CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
TIME = "it takes more than 1 s of processor time"
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
IN_PROMPTS = ("a loop without end", "a text that doubles", "a text without end", "what the sandbox keeps back")
"""One for each end; a prompt is tried by the same process as a chat template."""

PROMPTS = {name: TEMPLATES[name] for name in IN_PROMPTS} | {
    "an attribute that texts have not": ("{{ query.no.way }}", "'str object' has no attribute 'no'"),
    "brackets without end": ("{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}", "is not a Jinja template"),
    "more than a megabyte": ("a" * (1 << 20), "but at most 1,048,576 are allowed"),
}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small stack with an index, which does not depend on templates; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        stack = entered(tmp_path_factory.mktemp("templates") / "own", patch)
        (stack / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
        assert run(["index"]) == 0
    return stack


@pytest.fixture
def own(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the current directory."""
    monkeypatch.chdir(shutil.copytree(indexed, tmp_path / "own"))
    return tmp_path / "own"


def sooner(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """Wait a second, not three, for what takes all the time that there is."""
    if message == TIME:
        monkeypatch.setattr(template, "CPU_S", 1)


@pytest.mark.parametrize(("text", "message"), PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_that_ends_nowhere_is_told(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    sooner(monkeypatch, message)
    (own / "p.j2").write_text("{{ query }}" + text, "utf-8")
    with ending("work"):
        assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert "p.j2" in said
    assert message in said
    assert not (own / "model_repository").exists()


def test_a_prompt_that_needs_a_passage_is_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "p.j2").write_text("{{ sources[0].title.upper() if sources[0].title }}{{ query }}", "utf-8")
    capsys.readouterr()
    assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert "the prompt template cannot be rendered: " in said
    assert "Fix the template. The test uses a question without passages." in said


def served(own: Path, **metadata: Any) -> None:  # noqa: ANN401  one value of any type that GGUF has
    """Write a local GGUF file for the stack's generator."""
    changes = {f"tokenizer.{key}": value for key, value in metadata.items()}
    write_gguf(own / "m.gguf", llama_metadata() | {"tokenizer.chat_template": CHAT} | changes, {})
    local = ANSWER[ANSWER.index("local: '") :].split("'")[1]
    (own / "tritonrepo.yaml").write_text(ANSWER.replace(local, "./m.gguf"), "utf-8")


@pytest.mark.parametrize(("text", "message"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_chat_template_that_ends_nowhere_is_told(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    sooner(monkeypatch, message)
    served(own, chat_template=CHAT + text)
    with ending("work"):
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
    assert run(["build"]) == 2
    assert message in capsys.readouterr().err


def test_an_ordinary_chat_template_is_taken(own: Path) -> None:
    served(own)
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
        changed.setattr(sys, "version", "another")
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


ENDS: dict[str, tuple[str, Said]] = {
    "killed": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        Said(read=True, error="it takes more than 3 s of processor time"),
    ),
    "stopped by its limit": (
        "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)",
        Said(read=True, error="it takes more than 3 s of processor time"),
    ),
    "ended by another signal": (
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        Said(error="the parser exited with code -15"),
    ),
    "a traceback": ("raise ValueError('of the parser')", Said(error="ValueError: of the parser")),
    "a code alone": ("import sys; sys.exit(7)", Said(error="the parser exited with code 7")),
    "no memory": (
        "print('{\"memory\": true}')",
        Said(read=True, error="it needs more than 256 MiB of memory", memory=True),
    ),
    "a result": ("print(input())", Said(names=("a",), read=True, written="x")),
}


@tabled(("script", "said"), ENDS.values(), ids=ENDS)
def test_the_end_of_a_trial_is_its_result(script: str, said: Said) -> None:
    order = '{"names": ["a"], "read": true, "written": "x"}'
    found = template._said([sys.executable, "-I", "-S", "-c", script], order)  # noqa: SLF001  the end of any process
    assert found._replace(names=tuple(found.names)) == said


PIECES = {"as long as allowed": (["ab", "c"], "abc"), "nothing": ([], ""), "one more": (["ab", "cd"], None)}


@pytest.mark.parametrize(("pieces", "text"), PIECES.values(), ids=PIECES)
def test_a_text_is_written_up_to_its_limit(pieces: list[str], text: str | None) -> None:
    if text is not None:
        assert trial.written(pieces, 3) == text
        return
    with pytest.raises(trial.TooLong, match="it writes more than 3 characters"):
        trial.written(pieces, 3)


JUDGED: dict[str, tuple[str, dict[str, Any]]] = {
    "names": ("{{ b }}{{ a }}{{ range(2) }}{% set c = 1 %}", {"names": ["a", "b"], "others": [], "read": True}),
    "what it writes": ("{{ q }}!", {"names": ["q"], "others": [], "read": True, "written": "Q!"}),
    "blocks that leave no lines": ("{% if q %}\n  {% if q %}\nx\n{% endif %}{% endif %}", {"written": "x\n"}),
    "another file": ("{% include 'x' %}{{ 1 // 0 }}", {"others": ["x"], "written": ""}),
    "another file by a variable": ("{% include q %}", {"others": ["another template"], "written": ""}),
    "a fault of syntax": ("\n\n{% if %}", {"line": 3, "error": "Expected an expression, got 'end of statement block'"}),
    "a fault when rendered": (
        "{{ 1 // 0 }}",
        {"read": True, "error": "ZeroDivisionError: integer division or modulo by zero"},
    ),
    "a refusal": ("{{ raise_exception('no') }}", {"read": True, "error": "ValueError: no"}),
    "too long": ("{{ 'x' * 11 }}", {"read": True, "error": "it writes more than 10 characters", "line": 0}),
    "a loop that ends early": ("{% for i in [1, 2] %}{% break %}{% endfor %}", {"written": ""}),
}


@tabled(("text", "expected"), JUDGED.values(), ids=JUDGED)
def test_a_trial_says_what_a_template_uses_and_writes(text: str, expected: dict[str, Any]) -> None:
    found = trial.judged(text, {"q": "Q"}, 10)
    assert {name: found.get(name) for name in expected} == expected
    assert "memory" not in found


def test_a_prompt_is_made_of_the_message_the_system_text_and_the_tokens() -> None:
    chat = (
        "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}<model>{% endif %}"
    )
    tokens = {"bos_token": "[B]", "eos_token": "[E]"}
    asked: list[tuple[str, list[str], list[object], list[object]]] = [("Q", ["one", "two"], [], [])]
    message = "\n{{ passages | join(', ') }}: {{ query }}\n"
    assert trial.prompts(message, chat, tokens, asked) == ["[B]<user>one, two: Q[E]<model>"]
    said = {**tokens, "system": "S", "adds_bos": True}
    assert trial.prompts(message, "[B]" + chat, said, asked) == ["<system>S[E]<user>one, two: Q[E]<model>"]
    assert trial.prompts("{{ query }}", "{{ messages[0].content }}", {"adds_bos": True}, [("Q", [], [], [])]) == ["Q"]
    begins = {"adds_bos": True, "begins": ["[g]", "<s>"]}
    assert trial.prompts("{{ query }}", "[g]<s>{{ messages[0].content }}", begins, [("Q", [], [], [])]) == ["Q"]
    turns = [{"role": "user", "content": "P"}, {"role": "assistant", "content": "A"}]
    titled = "{% for s in sources %}{{ s.title }}={{ s.text }}{{ s.url }} {% endfor %}{{ query }}"
    known = [{"title": "T", "url": "U"}, {}]
    found = trial.prompts(titled, chat, tokens, [("Q", ["one", "two"], known, turns)])
    assert found == ["[B]<user>P[E]<assistant>A[E]<user>T=oneU =two Q[E]<model>"]


CHAT_FILES = ChatFiles(of_bytes(b""), CHAT, "[B]", "[E]", adds_bos=True, special_tokens=(), context_length=64)
NEEDS = {
    "the beginning": "{% if bos_token != '[B]' %}{{ raise_exception('x') }}{% endif %}",
    "the end": "{% if eos_token != '[E]' %}{{ raise_exception('x') }}{% endif %}",
    "the question of an answer": "{% if not add_generation_prompt %}{{ raise_exception('x') }}{% endif %}",
    "the system text": "{% if messages[0].content != 'S' %}{{ raise_exception('x') }}{% endif %}",
    "the user's message last": "{% if messages[1].role != 'user' %}{{ raise_exception('x') }}{% endif %}",
}


def test_a_chat_template_is_tried_with_all_that_it_is_given_later(jinja: Jinja) -> None:
    chat_tried(replace(CHAT_FILES, template=CHAT + "".join(NEEDS.values())), Given("S"), jinja, Span("s.yaml", 5))
    alone = "{% if messages | length != 1 %}{{ raise_exception('x') }}{% endif %}"
    for system in (None, ""):
        chat_tried(replace(CHAT_FILES, template=CHAT + alone), Given(system), jinja, Span("s.yaml", 5))


OMITS = "omits the user's message"
WRONG = {
    "a text of its own": ("You are a helpful assistant.", OMITS),
    "the system text and no question": ("{{ messages[0].content }}", OMITS),
    "the roles of all messages": ("{% for m in messages %}<|{{ m.role }}|>{% endfor %}", OMITS),
    "a fault of syntax, by line": (
        "\n\n{% if %}",
        "cannot be parsed: Expected an expression, got 'end of statement block' (line 3)",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_chat_template_that_does_not_write_the_question_is_refused(jinja: Jinja, text: str, message: str) -> None:
    with pytest.raises(Stop) as stop:
        chat_tried(replace(CHAT_FILES, template=text), Given("S"), jinja, Span("s.yaml", 5))
    (told,) = stop.value.diagnostics
    assert told.message == f"the model's chat template {message}"


@pytest.mark.parametrize(("more", "good"), [(0, True), (1, False)], ids=["as long as allowed", "one more"])
def test_a_chat_template_has_a_megabyte_at_most(jinja: Jinja, more: int, *, good: bool) -> None:
    text = CHAT + "{#" + "é" * ((1_048_576 - len(CHAT) - 4) // 2) + "#}"
    text += "x" * (1_048_576 - len(text.encode()) + more)
    chat = replace(CHAT_FILES, template=text)
    if good:
        chat_tried(chat, Given(), jinja, Span("s.yaml", 5))
        return
    with pytest.raises(Stop) as stop:
        chat_tried(chat, Given(), jinja, Span("s.yaml", 5))
    (told,) = stop.value.diagnostics
    assert (told.rule, told.at) == ("source-chat-template", Span("s.yaml", 5))
    assert told.message == "the model's chat template exceeds 1,048,576 bytes"
    assert told.hint == "Use another model file, or fix the template in this one."


REASONING = """\
{%- macro text(content) %}{% if content is string %}{{ content }}{% else -%}
{% for part in content if part.type == 'text' -%}
{{ part.text }}{% endfor %}{% endif %}{% endmacro -%}
{%- if not date_string is defined %}{% set date_string = strftime_now('%Y') %}{% endif -%}
{%- if tools is not none and tools %}<|tools|>{% for tool in tools -%}
{{ tool | tojson(indent=2) }}{% endfor %}{% endif -%}
{%- if documents %}{% for document in documents %}<|doc|>{{ document.text }}{% endfor %}{% endif -%}
{%- if builtin_tools is defined %}<|builtin|>{{ builtin_tools | join(', ') }}{% endif -%}
{%- set ns = namespace(last=messages | length - 1, calls=0) -%}
{%- for message in messages %}
  {%- if message.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('no ' + message.role) }}{% endif %}
  {%- if loop.index0 > ns.last %}{% break %}{% endif %}
  {%- if message.tool_calls %}{% for call in message.tool_calls %}
    {%- for name, value in call.function.arguments.items() %}{{ name }}={{ value | tojson }}{% endfor %}
  {%- endfor %}{% endif %}
  {%- if message.role == 'assistant' %}{% generation %}{{ message.reasoning_content or '' }}{{ text(message.content) }}
  {%- endgeneration %}{% continue %}{% endif -%}
<|{{ message.role }}|>{{ text(message['content']) | trim }}<|end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""
"""What the templates of reasoning models and of models that call functions are made of."""

USED: dict[str, tuple[dict[str, object], str]] = {
    "none": ({}, "<|user|>Q<|end|><|assistant|>"),
    "no thinking": ({"enable_thinking": False}, "<|user|>Q<|end|><|assistant|><think>\n\n</think>\n\n"),
    "thinking": ({"enable_thinking": True}, "<|user|>Q<|end|><|assistant|>"),
    "a tool": ({"tools": [{"name": "é"}]}, '<|tools|>{\n  "name": "é"\n}<|user|>Q<|end|><|assistant|>'),
    "documents": ({"documents": [{"text": "D"}]}, "<|doc|>D<|user|>Q<|end|><|assistant|>"),
    "tools that are built in": ({"builtin_tools": ["a", "b"]}, "<|builtin|>a, b<|user|>Q<|end|><|assistant|>"),
}


@pytest.mark.parametrize(("variables", "prompt"), USED.values(), ids=USED)
def test_a_reasoning_template_is_rendered_with_the_variables_of_the_stack(
    variables: dict[str, object], prompt: str, jinja: Jinja
) -> None:
    chat_tried(replace(CHAT_FILES, template=REASONING), Given("S", variables), jinja, Span("s.yaml", 5))
    assert trial.prompts("{{ query }}", REASONING, {"chat_template_kwargs": variables}, [("Q", [], [], [])]) == [prompt]


def test_a_variable_that_the_template_does_not_use_is_told_at_its_place(jinja: Jinja) -> None:
    places = {"chat_template_kwargs.enable_thinkin": Span("s.yaml", 9, 3)}
    given = Given(None, {"enable_thinkin": False}, places)
    with pytest.raises(Stop) as stop:
        chat_tried(replace(CHAT_FILES, template=REASONING), given, jinja, Span("s.yaml", 5))
    (told,) = stop.value.diagnostics
    assert (told.rule, told.at) == ("source-chat-template", Span("s.yaml", 9, 3))
    assert told.message == 'the model\'s chat template does not use the variable "enable_thinkin"'
    assert told.hint == 'Did you mean "enable_thinking"?'


def test_a_template_that_takes_no_system_message_says_what_to_remove(jinja: Jinja) -> None:
    text = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT
    chat_tried(replace(CHAT_FILES, template=text), Given(), jinja, Span("s.yaml", 5))
    with pytest.raises(Stop, match="cannot be rendered: ValueError: no system") as stop:
        chat_tried(replace(CHAT_FILES, template=text), Given("S"), jinja, Span("s.yaml", 5))
    assert "remove system from the pipeline's prompt" in stop.value.diagnostics[0].hint
