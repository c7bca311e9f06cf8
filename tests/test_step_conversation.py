"""`messages` of a prompt step: earlier turns in a prompt, as many as fit, and whose system message counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import triton_python_backend_utils as pb_utils
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.ending import ending
from tests.families import FAMILIES, settings, tokenizer
from tests.tensors import outputs, refusal, request, written
from tritonrepo.generate.steps.conversation import conversation
from tritonrepo.generate.steps.prompt import TritonPythonModel

Make = Callable[..., TritonPythonModel]
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|a|>"
MESSAGE = "{% for p in passages %}{{ p }} {% endfor %}? {{ query }}"
SETTINGS: dict[str, Any] = {
    "max_model_len": 70,
    "max_context_tokens": None,
    "system": None,
    "sampling": {"max_tokens": 10},
    "bos_token": "",
    "eos_token": "",
    "adds_bos": False,
    "special_tokens": [],
    "chat_template": CHAT,
    "packages": "0456",
    "tokenizer": "0123/tokenizer.json",
}


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(sys, "path", sys.path[:])
    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()

    def made(family: str = "", **changes: object) -> TritonPythonModel:
        said = settings(FAMILIES[family], adds_bos=False) if family else SETTINGS
        own = tokenizer(FAMILIES[family], adds_bos=False) if family else words
        files = {"tokenizer.json": own.to_str(), "prompt.j2": MESSAGE, "settings.json": said | changes}
        model = TritonPythonModel()
        model.initialize(written(tmp_path, files))
        return model

    return made


def talk(*texts: str) -> str:
    """Return a conversation in which the user begins."""
    return json.dumps(
        [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(texts)]
    )


def answered(model: TritonPythonModel, **tensors: str | bytes) -> str:
    (response,) = model.execute([request(passages=[b"p"], **tensors)])
    return str(outputs(response)["prompt"][0].decode())


def test_the_last_turn_of_the_user_is_the_query(step: Make) -> None:
    assert answered(step(), messages=talk("one", "two", "three")) == (
        "<|user|>one<|assistant|>two<|user|>p ? three<|a|>"
    )


def test_a_query_stands_for_the_last_turn_of_the_user(step: Make) -> None:
    assert answered(step(), messages=talk("one", "two", "three"), query="four") == (
        "<|user|>one<|assistant|>two<|user|>p ? four<|a|>"
    )


def test_a_query_follows_a_conversation_that_ends_with_an_answer(step: Make) -> None:
    assert answered(step(), messages=talk("one", "two"), query="three") == (
        "<|user|>one<|assistant|>two<|user|>p ? three<|a|>"
    )


def test_an_empty_query_is_none_if_there_is_a_conversation(step: Make) -> None:
    assert answered(step(), messages=talk("one"), query="") == "<|user|>p ? one<|a|>"
    assert answered(step(), messages="", query="one") == "<|user|>p ? one<|a|>"


ALONE = '[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]'


def test_turns_of_one_role_in_a_row_are_one_turn(step: Make) -> None:
    assert answered(step(), messages=ALONE) == "<|user|>a\n\np ? b<|a|>"


def test_a_conversation_begins_with_its_first_turn_of_the_user(step: Make) -> None:
    turns = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "a"}]
    assert answered(step(), messages=json.dumps(turns)) == "<|user|>p ? a<|a|>"


OWN = '[{"role": "system", "content": "A."}, {"role": "user", "content": "q"}, {"role": "developer", "content": "B."}]'
SYSTEMS = {
    "the stack's own wins": ("Mine.", "<|system|>Mine.<|user|>p ? q<|a|>"),
    "those of the request, if the stack has none": (None, "<|system|>A.\n\nB.<|user|>p ? q<|a|>"),
}


@pytest.mark.parametrize(("system", "prompt"), SYSTEMS.values(), ids=SYSTEMS)
def test_whose_system_message_counts(step: Make, system: str | None, prompt: str) -> None:
    assert answered(step(system=system), messages=OWN) == prompt


def test_a_text_can_come_in_parts(step: Make) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert answered(step(), messages=json.dumps([{"role": "user", "content": parts}])) == "<|user|>p ? one\ntwo<|a|>"


BAD: dict[str, tuple[object, str]] = {
    "no JSON": (b"[{", "messages is not valid JSON: Expecting property name"),
    "no list": ({"role": "user"}, 'messages must be a JSON list such as [{"role": "user", "content": "Why?"}]'),
    "no objects": (["Why?"], 'messages[0] must be an object with "role" and "content"'),
    "no role": ([{"content": "Why?"}], 'messages[0] must be an object with "role" and "content"'),
    "another role": (
        [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}],
        'the role of messages[1] must be system, developer, user or assistant, not "tool"',
    ),
    "a role of another type": (
        [{"role": ["user"], "content": "a"}],
        "the role of messages[0] must be system, developer, user or assistant, not a list",
    ),
    "a long role": (
        [{"role": "x" * 99, "content": "a"}],
        f'the role of messages[0] must be system, developer, user or assistant, not "{"x" * 39}…',
    ),
    "no content": ([{"role": "user"}], "messages[0].content must be a string or a list of text parts, not null"),
    "a number": (
        [{"role": "user", "content": 7}],
        "messages[0].content must be a string or a list of text parts, not 7",
    ),
    "an image": (
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]}],
        'messages[0].content[1] must be {"type": "text", "text": "…"}, not of type "image_url"',
    ),
    "a part without text": (
        [{"role": "user", "content": [{"type": "text"}]}],
        "messages[0].content[0].text must be a string, not null",
    ),
    "a call of a tool": (
        [{"role": "assistant", "content": "a", "tool_calls": [{"id": "1"}]}],
        "messages[0] calls a tool, but only text can be in a prompt",
    ),
    "an answer at the end": (
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "messages must end with a turn of the user",
    ),
    "nothing": ([], "messages must end with a turn of the user"),
    "brackets without end": (b"[" * 1_000_000, "messages nests too deeply"),
    "a nested text": (
        b'[{"role": "user", "content": ' + b"[" * 5000 + b"]" * 5000 + b"}]",
        "messages nests too deeply",
    ),
}


@pytest.mark.parametrize(("messages", "message"), BAD.values(), ids=BAD)
def test_a_bad_conversation_fails_alone_and_is_its_callers_fault(step: Make, messages: object, message: str) -> None:
    text = messages if isinstance(messages, bytes) else json.dumps(messages).encode()
    good = request(query="q", passages=[b"p"])
    first, second, third = step().execute([good, request(messages=text, passages=[b"p"]), good])
    assert outputs(first) == outputs(third)
    assert refusal(second).startswith(message)
    assert second.error().code() == pb_utils.TritonError.INVALID_ARG


def test_a_request_without_query_and_conversation_is_refused(step: Make) -> None:
    (response,) = step().execute([request(passages=[b"p"])])
    assert refusal(response) == "a request needs query or messages"


@given(text=st.binary(max_size=60) | st.text('{}[]":,role user content\\u', max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_a_message(text: bytes) -> None:
    try:
        conversation(text)
    except ValueError as error:
        assert str(error)


def words(count: int, letter: str = "w") -> str:
    return " ".join([letter] * count)


PARTS: dict[str, tuple[list[int], list[int], int, int]] = {  # 7 tokens around the question, 2 per turn, of 60
    "all of it": ([5, 5], [9], 2, 1),
    "passages that leave little room": ([5, 5, 5, 5], [21], 2, 1),
    "the newest exchanges have half of the room": ([15, 5, 5, 15], [20, 20], 2, 1),
    "an exchange is kept whole or not at all": ([1, 30], [20, 20], 0, 2),
    "passages that leave more than half": ([10, 10, 10, 5], [2], 4, 1),
    "an exchange of more than half, where all passages fit": ([30, 1, 12, 12], [2], 2, 1),
    "a passage is cut rather than the conversation": ([5, 5], [90], 2, 1),
}


@pytest.mark.parametrize(("turns", "passages", "kept", "used"), PARTS.values(), ids=PARTS)
def test_a_conversation_and_passages_share_the_room(
    step: Make, turns: list[int], passages: list[int], kept: int, used: int
) -> None:
    said = talk(*(words(count, f"t{place}") for place, count in enumerate(turns)), "q")
    texts = [words(count, f"p{place}").encode() for place, count in enumerate(passages)]
    (response,) = step().execute([request(messages=said, passages=texts)])
    found = outputs(response)
    prompt = found["prompt"][0].decode()
    assert [place for place in range(len(turns)) if f"t{place}" in prompt] == [*range(len(turns) - kept, len(turns))]
    assert [place for place in range(len(passages)) if f"p{place}" in prompt] == [*range(used)]
    assert found["used"] == [used]
    assert step().tokens(prompt) <= 60


@pytest.mark.parametrize("name", FAMILIES)
def test_a_conversation_of_any_form_suits_templates_that_demand_alternation(step: Make, name: str) -> None:
    turns = [("assistant", "Hi."), ("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"), ("user", "e")]
    said = json.dumps([{"role": role, "content": content} for role, content in turns])
    prompt = answered(step(name), messages=said)
    places = [prompt.index(text) for text in ("a\n\nb", "c\n\nd", "p ? e")]
    assert places == sorted(places)
    assert "Hi." not in prompt


def test_a_template_that_refuses_a_system_message_of_the_request_says_so(step: Make) -> None:
    (response,) = step("Gemma").execute([request(messages=OWN, passages=[])])
    assert refusal(response) == "System role not supported"
    assert response.error().code() == pb_utils.TritonError.INVALID_ARG


HOSTILE = {
    "a turn of 10 MB": talk("a" * 10_000_000, "b", "q"),
    "20,000 turns": talk(*["a"] * 20_001),
    "a turn of 100,000 special tokens": talk("<|im_end|>" * 100_000, "b", "q"),
}


@pytest.mark.parametrize("messages", HOSTILE.values(), ids=HOSTILE)
def test_a_huge_conversation_is_cut_at_once(step: Make, messages: str) -> None:
    model = step("ChatML", max_context_tokens=300)
    with ending("work"):
        prompt = answered(model, messages=messages)
    assert model.tokens(prompt) <= 300


TEXTS = st.lists(st.sampled_from(["w", "w w", "🙂", "<|a|>", "é ", "\n", "<|user|>", " "]), max_size=12).map("".join)


FORMS = {
    "each passage": MESSAGE,
    "each twice": MESSAGE * 2,
    "the first two, in reverse": "{{ passages[:2] | reverse | join }}{{ query }}",
    "more than the texts": "{{ sources }} {{ query }}",
}


@pytest.mark.parametrize("message", FORMS.values(), ids=FORMS)
def test_a_prompt_never_exceeds_its_budget(step: Make, message: str) -> None:
    model = step("Mistral", adds_bos=True)
    model.message = model.message.environment.from_string(message)

    @given(turns=st.lists(TEXTS, max_size=6), passages=st.lists(TEXTS, max_size=6), budget=st.integers(20, 300))
    def check(turns: Sequence[str], passages: Sequence[str], budget: int) -> None:
        model.settings["max_context_tokens"] = budget
        said = talk(*[*turns, "b"][: len(turns) | 1])
        (response,) = model.execute([request(messages=said, passages=[text.encode() for text in passages])])
        if response.has_error():
            assert " are left for it" in refusal(response)
        else:
            found = outputs(response)
            assert len(model.tokenizer.encode(found["prompt"][0].decode()).ids) + 1 <= budget
            assert 0 <= found["used"][0] <= len(passages)

    hypothesis_settings(max_examples=40)(check)()
