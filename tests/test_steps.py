"""The prompt step as plain Python: the file that Triton runs, with what it is given there."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pumped import PACKAGE, ended

CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}"
)
MESSAGE = "{% for p in passages %}{{ p }} {% endfor %}? {{ query }}"
SETTINGS: dict[str, Any] = {
    "max_model_len": 60,
    "max_context_tokens": None,
    "system": None,
    "sampling": {"max_tokens": 10},
    "bos_token": "",
    "eos_token": "",
    "adds_bos": False,
    "special_tokens": [],
}


Make = Callable[..., Any]
"""Makes a prompt step, which differs from SETTINGS in what it is given; its class has no types."""


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401  a module without types
    """The step's module, as Triton's stub imports it."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    monkeypatch.setattr(sys, "path", sys.path[:])
    spec = importlib.util.spec_from_file_location("prompt_step", PACKAGE / "generate" / "steps" / "prompt.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def step(tmp_path: Path, source: Any) -> Make:  # noqa: ANN401
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer: Any = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    home = tmp_path / "1"
    home.mkdir()
    tokenizer.save(str(home / "tokenizer.json"))
    (home / "chat_template.jinja").write_text(CHAT, "utf-8")
    (home / "prompt.j2").write_text(MESSAGE, "utf-8")

    def made(**changes: object) -> Any:  # noqa: ANN401
        (home / "settings.json").write_text(json.dumps(SETTINGS | changes), "utf-8")
        model = source.TritonPythonModel()
        model.initialize({"model_repository": str(tmp_path), "model_version": "1"})
        return model

    return made


BLANKS = {
    "two blanks": ["  "],
    "a blank before": [" x"],
    "a blank behind": ["x "],
    "a tab and a blank": ["\t "],
    "one blank": [" "],
    "nothing": [""],
    "several": ["x ", " x", "  ", "<|x|>", " <|x|>\n"],
}


@pytest.mark.parametrize("special", BLANKS.values(), ids=BLANKS)
def test_a_special_token_of_white_space_hangs_nobody(step: Make, special: list[str]) -> None:
    text = " x  x\t <|x|>\n x "
    model = step(special_tokens=special)
    with ended():
        harmless = model.harmless(text)
    assert harmless.replace(" ", "") == text.replace(" ", "")
    assert "<|x|>" not in harmless or "<|x|>" not in special


SPECIAL = st.lists(st.text("<|x >\t", max_size=4), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text("<|x >\t", max_size=30), special=SPECIAL)
def test_no_special_token_is_left_in_any_text(source: Any, text: str, special: list[str]) -> None:  # noqa: ANN401
    model = source.TritonPythonModel()
    model.special = source.breakable(special)
    with ended():
        harmless = model.harmless(text)
    assert harmless.replace(" ", "") == text.replace(" ", "")
    assert not [token for token in special if len(token.strip()) > 1 and token in harmless]


def words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


def test_thousands_of_passages_are_counted_by_halving(step: Make) -> None:
    model = step()
    rendered, calls = model.rendered, []

    def counted(query: str, passages: list[str]) -> str:
        calls.append(len(passages))
        return str(rendered(query, passages))

    model.rendered = counted
    with ended():
        prompt = model.prompt("q", words(20_000), 10)
    kept = [word for word in words(20_000) if f"{word} " in prompt]
    assert kept == words(len(kept))
    assert len(kept) > 10
    assert len(calls) <= 17
    assert model.tokens(rendered("q", words(len(kept)))) <= 50 < model.tokens(rendered("q", words(len(kept) + 1)))


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("budget", [12, 13, 14, 16, 60])
def test_as_many_passages_as_fit_and_the_beginning_of_the_only_one(step: Make, count: int, budget: int) -> None:
    """Held against the plain way: one passage less each time."""
    model = step(max_context_tokens=budget)
    passages = [f"w{number} v v" for number in range(count)]
    fitting = [n for n in range(count + 1) if model.tokens(model.rendered("q", passages[:n])) <= min(budget, 50)]
    prompt = model.prompt("q", passages, 10)
    if fitting[-1]:
        assert prompt == model.rendered("q", passages[: fitting[-1]])
    else:
        assert model.tokens(prompt) <= budget


def test_a_question_that_leaves_no_room_is_refused(step: Make) -> None:
    with pytest.raises(ValueError, match="the query needs 5006 tokens with its prompt, but only 50 are left for it"):
        step().prompt(" ".join(["q"] * 5000), ["p"], 10)
