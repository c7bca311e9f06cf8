"""The prompt step as plain Python: the file that Triton runs, with what it is given there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.ending import ending
from tests.tensors import Broken, outputs, refusal, request, written
from tritonrepo.generate.steps.harmless import Guard, breakable
from tritonrepo.generate.steps.prompt import Given, TritonPythonModel
from tritonrepo.sources import trial

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
    "packages": "0456",
    "tokenizer": "0123/tokenizer.json",
}


Make = Callable[..., TritonPythonModel]
"""Makes a prompt step, which differs from SETTINGS, or in its chat template, in what it is given."""


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(sys, "path", sys.path[:])
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()

    def made(chat: str = CHAT, message: str = MESSAGE, **changes: object) -> TritonPythonModel:
        settings = SETTINGS | {"chat_template": chat} | changes
        files = {"tokenizer.json": tokenizer.to_str(), "prompt.j2": message, "settings.json": settings}
        model = TritonPythonModel()
        model.initialize(written(tmp_path, files))
        return model

    return made


def asked(model: TritonPythonModel, query: str, passages: list[str]) -> Given:
    return Given(query, [{"text": passage} for passage in passages], model.settings["system"])


def rendered(model: TritonPythonModel, query: str, passages: list[str]) -> str:
    return model.rendered(asked(model, query, passages), 0, len(passages))


def prompt_of(model: TritonPythonModel, query: str, passages: list[str]) -> str:
    """Return the prompt that leaves 10 tokens for the answer."""
    return model.rendered(*model.prompt(asked(model, query, passages), model.budget(10)))


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
    with ending("work"):
        harmless = model.guard.harmless(text)
    assert harmless.replace(" ", "") == text.replace(" ", "")
    assert "<|x|>" not in harmless or "<|x|>" not in special


SPECIAL = st.lists(st.text("<|x >\t", max_size=4), max_size=4)


@given(text=st.text("<|x >\t", max_size=30), special=SPECIAL)
def test_no_special_token_is_left_in_any_text(text: str, special: list[str]) -> None:
    guard = Guard(Tokenizer(models.WordLevel({"?": 0}, unk_token="?")), special)
    with ending("work"):
        harmless = guard.harmless(text)
    assert harmless.replace(" ", "") == text.replace(" ", "")
    assert not [token for token in special if len(token.strip()) > 1 and token in harmless]


def words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


def test_thousands_of_passages_are_counted_from_the_first_on(step: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = step()
    length, read = model.length, []

    def counted(text: str) -> int:
        read.append(length(text))
        return read[-1]

    monkeypatch.setattr(model, "length", counted)
    texts = [b" ".join([b"w"] * 9)] * 20_000
    with ending("work"):
        (response,) = model.execute([request(query="q", passages=texts)])
    assert outputs(response)["used"] == [4]  # 8 tokens around 4 passages of 9, of 50
    assert sum(read) <= 5 * 50


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("budget", [12, 13, 14, 16, 60])
def test_as_many_passages_as_fit_and_the_beginning_of_the_only_one(step: Make, count: int, budget: int) -> None:
    """Compared with the simple way: try one passage fewer each time."""
    model = step(max_context_tokens=budget)
    passages = [f"w{number} v v" for number in range(count)]
    fitting = [n for n in range(count + 1) if model.tokens(rendered(model, "q", passages[:n])) <= min(budget, 50)]
    prompt = prompt_of(model, "q", passages)
    if fitting[-1]:
        assert prompt == rendered(model, "q", passages[: fitting[-1]])
    else:
        assert model.tokens(prompt) <= budget


def test_a_question_that_leaves_no_room_is_refused(step: Make) -> None:
    with pytest.raises(ValueError, match="the prompt with the query needs 5006 tokens, but only 50 are left for it"):
        prompt_of(step(), " ".join(["q"] * 5000), ["p"])


def plainly(model: TritonPythonModel, passages: list[str], budget: int) -> str | None:
    """Return the prompt in the simple way: one passage fewer each time, the last one cut, then none."""
    for count in range(len(passages), -1, -1):
        prompt = rendered(model, "q", passages[:count])
        over = model.tokens(prompt) - budget
        if over <= 0:
            return prompt
        if count == 1:
            prompt = rendered(model, "q", [model.cut(passages[0], model.length(passages[0]) - over - 4)])
            if model.tokens(prompt) <= budget:
                return prompt
    return None


PASSAGES = st.lists(st.integers(0, 9).map(lambda count: " ".join(["w"] * count)), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(passages=PASSAGES, budget=st.integers(1, 60))
@example(passages=["w w w w w w w w w"], budget=12)
@example(passages=["w"], budget=3)
def test_the_passages_are_those_of_the_plain_way(step: Make, passages: list[str], budget: int) -> None:
    model = step(max_context_tokens=budget)
    expected = plainly(model, passages, min(budget, 50))
    if expected is None:
        with pytest.raises(ValueError, match="the query needs"):
            prompt_of(model, "q", passages)
    else:
        assert prompt_of(model, "q", passages) == expected


def test_the_answer_has_the_prompt_and_all_controls(step: Make) -> None:
    model = step(system="Be brief.", sampling={"max_tokens": 10, "temperature": 0.5})
    given = request(query="why", passages=[b"one", b"two"], sampling_parameters='{"max_tokens": 5, "seed": 1}')
    (response,) = model.execute([given])
    assert outputs(response) == {
        "prompt": [b"<|system|>Be brief.<|user|>one two ? why<|a|>"],
        "used": [2],
        "sampling_parameters": [b'{"max_tokens": 5, "temperature": 0.5, "seed": 1}'],
        "stream": [False],
        "exclude_input_in_output": [True],
    }


USED = {
    "the first two, the other way round": ("{% for p in passages[:2] | reverse %}{{ p }} {% endfor %}{{ query }}", 2),
    "all in capitals": ("{{ passages | join(' ') | upper }} {{ query }}", 3),
}


@pytest.mark.parametrize(("message", "used"), USED.values(), ids=USED)
def test_the_passages_that_a_template_uses_are_counted(step: Make, message: str, used: int) -> None:
    model = step(message=message)
    (response,) = model.execute([request(query="why", passages=[b"one", b"two", b"three"])])
    assert outputs(response)["used"] == [used]


def test_a_template_sees_what_is_known_of_each_passage(step: Make) -> None:
    message = (
        "{% for source in sources %}{{ source.title }}: {{ source.text }} {{ source.tags }}|{% endfor %}{{ query }}"
    )
    metadata = [b'{"title": "First", "tags": ["x", 7, null], "text": "no"}', b"{}", b""]
    given = request(query="q", passages=[b"a", b"b", b"c"], metadata=metadata)
    (response,) = step(message=message).execute([given])
    assert outputs(response)["prompt"] == [b"<|user|>First: a ['x', 7, None]|: b |: c |q<|a|>"]


DEEP = 900 if sys.version_info < (3, 12) else 5_000
"""Levels that JSON can be parsed with, but that are too many for functions that call themselves."""

METADATA = {
    "fewer than passages": ([b"{}"], "2 passages cannot have 1 values of metadata"),
    "no JSON": ([b"{}", b"{"], "metadata[1] is not valid JSON: "),
    "no object": ([b"[1]", b"{}"], 'metadata[0] must be a JSON object such as {"title": "Passwords"}'),
    "brackets without end": ([b"[" * 100_000, b"{}"], "metadata[0] nests too deeply"),
    "a deep value": ([b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}", b"{}"], "metadata[0] nests too deeply"),
}


@pytest.mark.parametrize(("metadata", "message"), METADATA.values(), ids=METADATA)
def test_bad_metadata_fail_alone(step: Make, metadata: list[bytes], message: str) -> None:
    passages = [b"a", b"b"]
    good = request(query="q", passages=passages, metadata=[b"{}", b"{}"])
    bad = request(query="q", passages=passages, metadata=metadata)
    first, second, third = step().execute([good, bad, good])
    assert outputs(first) == outputs(third)
    assert refusal(second).startswith(message)
    assert second.error().code() == pb_utils.TritonError.INVALID_ARG


def test_values_of_metadata_are_harmless_in_any_depth(step: Make) -> None:
    model = step(message="{{ sources[0] | tojson }} {{ query }}", special_tokens=["<|im_end|>"], max_model_len=400)
    metadata = [b'{"<|im_end|>": [{"a": "x<|im_end|>"}]}']
    (response,) = model.execute([request(query="q", passages=[b"p"], metadata=metadata)])
    assert outputs(response)["prompt"] == [b'<|user|>{"< |im_end|>": [{"a": "x< |im_end|>"}], "text": "p"} q<|a|>']


def test_the_requests_own_controls_win(step: Make) -> None:
    (response,) = step().execute([request(query="q", passages=[], stream=True, exclude_input_in_output=False)])
    found = outputs(response)
    assert (found["stream"], found["exclude_input_in_output"]) == ([True], [False])
    assert found["sampling_parameters"] == [b'{"max_tokens": 10}']


def test_bytes_that_are_no_utf8_are_replaced(step: Make) -> None:
    (response,) = step().execute([request(query=b"caf\xe9", passages=[b"\xff!"])])
    assert outputs(response)["prompt"] == ["<|user|>\ufffd! ? caf\ufffd<|a|>".encode()]


BAD = {
    "no JSON": (request(query="q", passages=[], sampling_parameters="{"), "sampling_parameters is not valid JSON: "),
    "no object": (
        request(query="q", passages=[], sampling_parameters="[1]"),
        "sampling_parameters must be a JSON object",
    ),
    "a limit of no number": (
        request(query="q", passages=[], sampling_parameters='{"max_tokens": true}'),
        "max_tokens must be an integer from 1 to 59, not True",
    ),
    "a limit of the whole window": (
        request(query="q", passages=[], sampling_parameters='{"max_tokens": 60}'),
        "max_tokens must be an integer from 1 to 59, not 60",
    ),
    "a query too long": (request(query="q " * 90, passages=[]), "the query needs "),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_a_bad_request_fails_alone_and_is_its_callers_fault(
    step: Make, bad: pb_utils.InferenceRequest, message: str
) -> None:
    good = request(query="q", passages=[b"p"])
    first, second, third = step().execute([good, bad, good])
    assert outputs(first) == outputs(third)
    assert message in refusal(second)
    assert second.error().code() == pb_utils.TritonError.INVALID_ARG


def test_what_is_not_the_callers_fault_fails_alone_as_well(step: Make) -> None:
    broken = pb_utils.InferenceRequest(
        inputs=[Broken("query", np.array([b"q"]))], requested_output_names=[], model_name=""
    )
    first, second = step().execute([broken, request(query="q", passages=[])])
    assert refusal(first) == "no memory is left"
    assert first.error().code() == pb_utils.TritonError.INTERNAL
    assert outputs(second)["prompt"] == [b"<|user|>? q<|a|>"]


def test_a_chat_template_may_refuse(step: Make) -> None:
    chat = "{{ raise_exception('no ' ~ messages[0].role ~ ' here') }}"
    (response,) = step(chat).execute([request(query="q", passages=[])])
    assert refusal(response) == "no user here"
    assert response.error().code() == pb_utils.TritonError.INVALID_ARG


@pytest.mark.parametrize("chat", [CHAT, "{{ bos_token }}" + CHAT, "{{ bos_token }}{{ bos_token }}" + CHAT])
def test_a_tokenizer_that_adds_the_beginning_is_given_none(step: Make, chat: str) -> None:
    model = step(chat, adds_bos=True, bos_token="<s>")
    text = rendered(model, "q", [])
    assert text == "<|user|>? q<|a|>"
    assert model.tokens(text) == 1 + step(chat, bos_token="<s>").tokens(text)


def test_a_tokenizer_that_adds_several_tokens_is_given_none_of_them(step: Make) -> None:
    model = step("[g]<s>" + CHAT, adds_bos=True, bos_token="", begins=["[g]", "<s>"])
    text = rendered(model, "q", [])
    assert text == "<|user|>? q<|a|>"
    assert model.tokens(text) == 2 + step(CHAT).tokens(text)


def test_the_stack_sets_variables_of_the_chat_template(step: Make) -> None:
    chat = CHAT + "{% if enable_thinking is false %}<think></think>{% endif %}{{ tools }}"
    assert rendered(step(chat), "q", []) == "<|user|>? q<|a|>None"
    variables = {"enable_thinking": False, "tools": [], "self": 1}
    assert rendered(step(chat, chat_template_kwargs=variables), "q", []) == "<|user|>? q<|a|><think></think>[]"


def test_a_tokenizer_that_adds_none_gets_that_of_the_template(step: Make) -> None:
    assert rendered(step("{{ bos_token }}" + CHAT, bos_token="<s>"), "q", []) == "<s><|user|>? q<|a|>"


def test_special_tokens_in_query_and_passages_are_broken_up(step: Make) -> None:
    (response,) = step(special_tokens=["<|a|>", "|>"]).execute([request(query="x<|a|>y", passages=[b"p|>"])])
    assert outputs(response)["prompt"] == [b"<|user|>p| > ? x< |a| >y<|a|>"]


def test_query_and_passages_are_never_templates(step: Make) -> None:
    (response,) = step().execute([request(query="{{ 7 * 7 }}", passages=[b"{% if x %}"])])
    assert outputs(response)["prompt"] == [b"<|user|>{% if x %} ? {{ 7 * 7 }}<|a|>"]


def cut(count: int) -> str:
    """Return the prompt with the first words of the only passage: 8 tokens more than it has words."""
    return f"<|user|>{' '.join(words(count))} ? q<|a|>"


NONE = "<|user|>? q<|a|>"
"""The prompt without passages: 7 tokens, since the tokenizer joins neighbouring marks."""

CUT = {
    "a passage that just fits": (28, False, [20], cut(20)),
    "one token too many": (27, False, [20], cut(15)),
    "half of it": (18, False, [20], cut(6)),
    "its first word": (13, False, [20], cut(1)),
    "nothing of it": (12, False, [20], NONE),
    "the query alone, which just fits": (7, False, [20], NONE),
    "the query alone, from the start": (7, False, [], NONE),
    "a beginning takes a token as well": (28, True, [20], cut(15)),
    "a passage that just fits after a beginning": (29, True, [20], cut(20)),
    "the query that just fits after a beginning": (8, True, [20], NONE),
    "the first of two is cut": (20, False, [20, 1], cut(8)),
    "the first of two fits": (11, False, [2, 20], cut(2)),
    "no limit of its own": (None, False, [42], cut(42)),
    "no limit of its own, one token too many": (None, False, [43], cut(38)),
    "a limit above what the answer leaves": (55, False, [43], cut(38)),
}


@pytest.mark.parametrize(("limit", "adds", "sizes", "prompt"), CUT.values(), ids=CUT)
def test_a_prompt_holds_as_much_of_the_passages_as_fits(
    step: Make,
    limit: int | None,
    adds: bool,  # noqa: FBT001
    sizes: list[int],
    prompt: str,
) -> None:
    model = step(max_context_tokens=limit, adds_bos=adds, bos_token="<s>" if adds else "")
    passages = [" ".join(words(size)) for size in sizes]
    assert prompt_of(model, "q", passages) == prompt


@pytest.mark.parametrize(("adds", "budget", "needed"), [(False, 6, 7), (True, 7, 8)])
def test_a_query_that_is_one_token_too_long_is_refused(step: Make, adds: bool, budget: int, needed: int) -> None:  # noqa: FBT001
    model = step(max_context_tokens=budget, adds_bos=adds, bos_token="<s>")
    with pytest.raises(ValueError, match=f"needs {needed} tokens, but only {budget} are left for it"):
        prompt_of(model, "q", ["p"])


def test_a_limit_of_the_request_leaves_less_for_its_passages(step: Make) -> None:
    passages = [b"w0 w1 w2", b"v0 v1 v2"]
    for limit, text in ((46, b"<|user|>w0 w1 w2 v0 v1 v2 ? q<|a|>"), (47, b"<|user|>w0 w1 w2 ? q<|a|>")):
        given = request(query="q", passages=passages, sampling_parameters=f'{{"max_tokens": {limit}}}')
        (response,) = step().execute([given])
        assert outputs(response)["prompt"] == [text]


def test_passages_are_left_out_where_what_stands_around_them_does_not_fit(step: Make) -> None:
    model = step(
        message="{% for p in passages %}so it is said: {{ p }} {% endfor %}? {{ query }}", max_context_tokens=9
    )
    assert prompt_of(model, "q", ["w0 w1 w2 w3 w4 w5"]) == NONE


def test_white_space_around_a_message_and_blocks_is_trimmed(step: Make) -> None:
    chat = "{% for m in messages %}\n    {% if true %}\n{{ m.content }}|\n    {% endif %}\n{% endfor %}\n"
    assert rendered(step(chat, message="\n\n  {{ query }} é \n"), "q", []) == "q é|\n"


def test_a_template_can_leave_a_loop_and_knows_both_ends(step: Make) -> None:
    chat = "{% for m in messages %}{{ bos_token }}{{ m.role }}{{ eos_token }}{% break %}{% endfor %}"
    model = step(chat, bos_token="<s>", eos_token="</s>", system="x")
    assert rendered(model, "q", []) == "<s>system</s>"


def test_the_message_of_the_system_comes_first_and_an_empty_one_is_left_out(step: Make) -> None:
    assert rendered(step(system="Be brief."), "q", []) == "<|system|>Be brief.<|user|>? q<|a|>"
    assert rendered(step(system=""), "q", []) == "<|user|>? q<|a|>"


@pytest.mark.parametrize("chat", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}"])
def test_a_template_reaches_nothing_outside_the_sandbox(step: Make, chat: str) -> None:
    (response,) = step(chat).execute([request(query="q", passages=[])])
    assert "unsafe" in refusal(response)
    assert response.error().code() == pb_utils.TritonError.INTERNAL


GIVEN: dict[str, tuple[dict[str, Any], list[bool]]] = {
    "nothing": ({}, [False, True]),
    "a stream": ({"stream": True}, [True, True]),
    "no stream": ({"stream": False}, [False, True]),
    "the prompt as well": ({"exclude_input_in_output": False}, [False, False]),
    "the answer alone": ({"stream": True, "exclude_input_in_output": True}, [True, True]),
}


@pytest.mark.parametrize(("given", "said"), GIVEN.values(), ids=GIVEN)
def test_what_is_not_said_of_the_answer_has_a_default(step: Make, given: dict[str, Any], said: list[bool]) -> None:
    (response,) = step().execute([request(query="q", passages=[], **given)])
    found = outputs(response)
    assert [found["stream"], found["exclude_input_in_output"]] == [[said[0]], [said[1]]]


LIMITS = {
    "an empty text": ("", '{"max_tokens": 10}'),
    "the least": ('{"max_tokens": 1}', '{"max_tokens": 1}'),
    "the most": ('{"max_tokens": 50}', '{"max_tokens": 50}'),
    "none": ('{"max_tokens": 0}', "max_tokens must be an integer from 1 to 59, not 0"),
    "below none": ('{"max_tokens": -1}', "max_tokens must be an integer from 1 to 59, not -1"),
    "a fraction": ('{"max_tokens": 5.0}', "max_tokens must be an integer from 1 to 59, not 5.0"),
    "text": ('{"max_tokens": "5"}', "max_tokens must be an integer from 1 to 59, not '5'"),
    "nothing": ('{"max_tokens": null}', "max_tokens must be an integer from 1 to 59, not None"),
    "all but one, which leaves no room": ('{"max_tokens": 59}', "needs 7 tokens, but only 1 are left for it"),
}


@pytest.mark.parametrize(("given", "said"), LIMITS.values(), ids=LIMITS)
def test_a_limit_of_the_answer_is_within_the_window(step: Make, given: str, said: str) -> None:
    (response,) = step().execute([request(query="q", passages=[], sampling_parameters=given)])
    if response.has_error():
        assert said in refusal(response)
    else:
        assert outputs(response)["sampling_parameters"] == [said.encode()]


def test_a_tokenizers_own_limit_and_special_tokens_do_not_change_the_count(tmp_path: Path, step: Make) -> None:
    step()
    tokenizer: Any = Tokenizer(models.WordLevel({"?": 0, "<s>": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A <s>", special_tokens=[("<s>", 1)])
    tokenizer.enable_truncation(3)
    (tmp_path / "0123" / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    model = TritonPythonModel()
    model.initialize({"model_repository": str(tmp_path), "model_version": "1"})
    assert model.tokens("a b c d e") == 5
    assert model.cut("a b c d e f g h i", 4) == "a b c d"
    assert sys.path[0] == str(tmp_path / "0456")


def test_a_beginning_without_a_text_is_nothing_to_take_away(step: Make) -> None:
    model = step(adds_bos=True, bos_token="")
    with ending("work"):
        assert rendered(model, "q", []) == NONE


HARMLESS = {
    "one": (["<|a|>"], "x<|a|>y", "x< |a|>y"),
    "each": (["<|a|>"], "<|a|><|a|>", "< |a|>< |a|>"),
    "one inside another": (["<|a|>"], "<|<|a|>a|>", "<|< |a|>a|>"),
    "one that appears when another is broken": (["<|", "< |"], "<|", "<  |"),
    "the longest first": (["ab", "abc"], "abc", "a bc"),
    "two characters": (["</"], "</", "< /"),
}


@pytest.mark.parametrize(("special", "text", "harmless"), HARMLESS.values(), ids=HARMLESS)
def test_a_special_token_is_broken_behind_its_first_character(
    step: Make, special: list[str], text: str, harmless: str
) -> None:
    with ending("work"):
        assert step(special_tokens=special).guard.harmless(text) == harmless


def test_what_is_broken_up_comes_longest_first_in_the_same_order_each_time() -> None:
    pairs = [f"{letter}{digit}" for letter in "abc" for digit in range(9)]
    assert breakable([*reversed(pairs), " abc ", "c", "b1", "", "  "]) == ["abc", *pairs]


def test_a_request_chooses_an_adapter_over_the_default_one(step: Make) -> None:
    model = step(sampling={"max_tokens": 10, "lora_name": "a"})
    (plain,) = model.execute([request(query="q", passages=[b"p"])])
    (chosen,) = model.execute([request(query="q", passages=[b"p"], sampling_parameters='{"lora_name": "b"}')])
    (none,) = model.execute([request(query="q", passages=[b"p"], sampling_parameters='{"lora_name": null}')])
    said = [json.loads(outputs(each)["sampling_parameters"][0]) for each in (plain, chosen, none)]
    assert said == [{"max_tokens": 10, "lora_name": name} for name in ("a", "b", None)]


def test_a_tokenizer_that_pads_does_not_count_its_padding(step: Make, tmp_path: Path) -> None:
    model = step()
    tokenizer = Tokenizer.from_file(str(next(tmp_path.rglob("tokenizer.json"))))
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(next(tmp_path.rglob("tokenizer.json"))))
    padded = TritonPythonModel()
    padded.initialize({"model_repository": str(tmp_path), "model_version": "1"})
    assert padded.tokens("a b c") == model.tokens("a b c") == 3


FORMS = {
    "blocks that mark an answer": ("{% generation %}{{ messages[0].content }}{% endgeneration %}!", "é <q>!"),
    "JSON, not escaped for HTML": ("{{ messages[0].content | tojson }}", '"é <q>"'),
    "JSON with an option": ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, ensure_ascii=true) }}", '{"a": 2, "b": 1}'),
    "tools that are none": ("{{ tools is none and documents is none }}", "True"),
    "loops that are left": ("{% for x in [1, 2] %}{% if x > 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"),
    "today": ("{% if strftime_now is defined %}{{ strftime_now('%%') }}{% endif %}", "%"),
}


@pytest.mark.parametrize(("chat", "prompt"), FORMS.values(), ids=FORMS)
def test_a_chat_template_finds_what_transformers_gives_it(step: Make, chat: str, prompt: str) -> None:
    assert rendered(step(chat=chat, message="{{ query }}"), "é <q>", []) == prompt
    found = trial.prompts("{{ query }}", chat, {}, [("é <q>", [], [], [])])
    assert found == [prompt]
