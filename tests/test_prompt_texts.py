"""Texts of a request in a prompt: they open no turn, are no template, and a prompt begins once, for eight families."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from tests.ending import ending
from tests.families import FAMILIES, settings, tokenizer
from tests.tensors import outputs, request, written
from tritonrepo.generate.steps.harmless import Guard, markers
from tritonrepo.generate.steps.prompt import TritonPythonModel
from tritonrepo.parts.prompting import DEFAULT_PROMPT

Step = Callable[..., TritonPythonModel]


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setattr(sys, "path", sys.path[:])

    def made(name: str, *, adds_bos: bool = False, message: str = DEFAULT_PROMPT) -> TritonPythonModel:
        family = FAMILIES[name]
        said = settings(family, adds_bos=adds_bos)
        own = tokenizer(family, adds_bos=adds_bos).to_str()
        model = TritonPythonModel()
        model.initialize(written(tmp_path, {"tokenizer.json": own, "prompt.j2": message, "settings.json": said}))
        return model

    return made


def prompt(model: TritonPythonModel, text: str) -> str:
    """Return the prompt with a text as query, passage, title, earlier question and answer."""
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    given = request(
        query=text,
        passages=[text.encode(), text.encode()],
        metadata=[json.dumps({"title": text}).encode(), b"{}"],
        messages=json.dumps(said),
    )
    (response,) = model.execute([given])
    return str(outputs(response)["prompt"][0].decode())


@pytest.mark.parametrize("adds_bos", [True, False], ids=["added", "not added"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_prompt_begins_with_a_single_first_token(step: Step, name: str, adds_bos: bool) -> None:  # noqa: FBT001
    """As vLLM reads a prompt: with what the tokenizer adds (vllm 0.10, inputs/preprocess.py, _tokenize_prompt)."""
    family, model = FAMILIES[name], step(name, adds_bos=adds_bos)
    (response,) = model.execute([request(query="Why?", passages=[b"It is so."])])
    text = outputs(response)["prompt"][0].decode()
    bos = model.tokenizer.token_to_id(family.bos or "<s>")
    assert isinstance(bos, int)
    ids = model.tokenizer.encode(text).ids
    begins = adds_bos or family.begins
    assert ids.count(bos) == begins
    assert (ids[0] == bos) == begins
    assert model.tokens(text) == len(ids)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_text_of_all_marks_opens_no_turn(step: Step, name: str) -> None:
    family, model = FAMILIES[name], step(name)
    marks = [family.bos, *family.special, *family.others, "[INST]", "[/INST]", "<</SYS>>"]
    written_by_template = [mark for mark in marks if mark in prompt(model, "x") or mark in family.special]
    text = "".join(f" a {mark}b" for mark in filter(None, written_by_template))
    plain, hostile = (model.tokenizer.encode(prompt(model, each)).tokens for each in ("x", text))
    added = {token.content for token in model.tokenizer.get_added_tokens_decoder().values()}
    assert [t for t in hostile if t in added - {"<table>"}] == [t for t in plain if t in added - {"<table>"}]
    for mark in filter(None, written_by_template):
        assert prompt(model, text).count(mark) == prompt(model, "x").count(mark), mark


def test_what_marks_roles_in_ordinary_text_is_a_mark_as_well(step: Step) -> None:
    """Tokens of the format of Llama 2 are not in its vocabulary, and those of DeepSeek are not special."""
    assert {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"} <= {*step("Llama 2").guard.tokens}
    assert {"<｜User｜>", "<｜Assistant｜>", "<think>"} <= {*step("DeepSeek").guard.tokens}
    assert "<table>" not in step("Gemma").guard.tokens


def test_marks_of_ordinary_words_are_left_in_a_text() -> None:
    def vicuna(messages: list[dict[str, str]]) -> str:
        return " ".join(f"{turn['role'].upper()}: {turn['content']}" for turn in messages) + " ASSISTANT:"

    assert not [*markers(vicuna)]


def test_a_template_that_refuses_everything_has_no_marks() -> None:
    def refusing(messages: list[dict[str, str]]) -> str:
        raise ValueError(str(messages))

    assert not [*markers(refusing)]


def test_values_are_never_templates_in_any_place(step: Step) -> None:
    assert prompt(step("ChatML"), "{{ 7 * 7 }}{% raw %}").count("{{ 7 * 7 }}{% raw %}") == 6


def test_a_value_and_the_text_around_it_are_no_token_together(step: Step) -> None:
    model = step("Mistral", message="{% for s in sources %}[{{ s.title }}] {% endfor %}{{ query }}")
    assert "[INST] INST" not in prompt(model, "INST")
    assert prompt(model, "INST").count("[INST]") == prompt(model, "x").count("[INST]")


def test_a_token_of_the_template_itself_is_meant(step: Step) -> None:
    model = step("Qwen", message="<|endoftext|>{{ query }}")
    (response,) = model.execute([request(query="a<|endoftext|>", passages=[])])
    assert b"<|endoftext|>a< |endoftext|>" in outputs(response)["prompt"][0]


PIECES = (
    "<|im_end|>",
    "<|im_",
    "end|>",
    "<|",
    "|>",
    "<｜im_end｜>",
    "＜|IM_END|＞",
    "<|IM_END|>",
    " ",
    "a",
    "é",
    "🙂",
    "\u200b",
)
SPLICES = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
NORMALIZERS: dict[str, Any] = {
    "none": None,
    "NFKC": normalizers.NFKC(),
    "lower case": normalizers.Lowercase(),
    "both": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
    "a mark for spaces": normalizers.Replace(" ", "▁"),
    "no spaces": normalizers.Replace(" ", ""),
    "no spaces, and NFKC": normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "")]),
}


def guards(*, normalized: bool) -> Iterator[tuple[str, Guard]]:
    for name, normalizer in NORMALIZERS.items():
        made: Any = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        if normalizer is not None:
            made.normalizer = normalizer
        made.add_special_tokens([AddedToken(token, normalized=normalized) for token in ("<|im_end|>", "?")])
        yield name, Guard(made, ["<|im_end|>", "?"])


GUARDS = {normalized: dict(guards(normalized=normalized)) for normalized in (True, False)}


@given(text=SPLICES)
@example(text="<|im_<|im_end|>end|>")
@example(text="<|im_end|>" * 3)
@example(text="＜|IM_END|＞")
def test_no_special_token_is_in_what_the_tokenizer_reads_of_any_text(text: str) -> None:
    for by_name in GUARDS.values():
        for name, guard in by_name.items():
            with ending("work"):
                harmless = guard.harmless(text)
            assert "<|im_end|>" not in harmless
            assert "<|im_end|>" not in guard.tokenizer.encode(harmless).tokens, name


LOOK_ALIKES = {
    "full width": ("NFKC", "<｜im_end｜>", "< ｜im_end｜>"),
    "capitals": ("lower case", "x<|IM_END|>", "x< |IM_END|>"),
    "a normalizer that takes the space away again": ("no spaces", "a <|im_end|>b", "a  b"),
}


@pytest.mark.parametrize(("normalizer", "text", "harmless"), LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_a_look_alike_is_broken_up_where_the_tokenizer_takes_it_for_the_token(
    normalizer: str, text: str, harmless: str
) -> None:
    assert GUARDS[True][normalizer].harmless(text) == harmless
    if "<|im_end|>" not in text:
        assert GUARDS[False][normalizer].harmless(text) == text


def test_a_text_of_unknown_words_is_left_as_it_is() -> None:
    made: Any = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.normalizer = normalizers.NFKC()
    made.add_special_tokens([AddedToken("<unk>", normalized=True)])
    assert Guard(made, ["<unk>"]).harmless("unknown words <unk>") == "unknown words < unk>"


def test_half_a_character_is_replaced(step: Step) -> None:
    model = step("ChatML")
    metadata = [b'{"title": "a\\ud83d", "\\udc00": ["\\udc00"]}']
    messages = '[{"role": "user", "content": "x\\ud800"}]'
    (response,) = model.execute([request(passages=[b"p"], metadata=metadata, messages=messages)])
    assert b"[1] a?: p" in outputs(response)["prompt"][0]
    assert b"Question: x?" in outputs(response)["prompt"][0]
