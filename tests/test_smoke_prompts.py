"""The reference for prompts: what a repository's templates produce, and what is reported if they produce nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from tests.tabled import tabled
from tests.tensors import outputs, request, written
from tests.test_smoke_parts import WHERE
from tritonrepo.generate.steps.prompt import TritonPythonModel
from tritonrepo.parts import prompting
from tritonrepo.repository import read, target
from tritonrepo.server.tensors import of_values
from tritonrepo.smoke import expected, prompts
from tritonrepo.smoke.case import Case, Crowd, Outcome, Reply, Result
from tritonrepo.smoke.made import SAMPLING
from tritonrepo.smoke.served import of_config
from tritonrepo.sources import rendering
from tritonrepo.sources.rendering import Question, Templates, rendered
from tritonrepo.tree import of_text

MESSAGE = prompting.DEFAULT_PROMPT
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>\n{{ m.content | trim }}{{ eos_token }}{% endfor %}<model>"
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
    "[INST] {{ m.content }} [/INST]{% endfor %}"
)
SETTINGS: Mapping[str, Any] = {
    "system": "Be brief.", "bos_token": "<s>", "eos_token": "</s>", "adds_bos": False, "special_tokens": [],
    "max_model_len": 4096, "max_context_tokens": None, "sampling": {"max_tokens": 96},
}  # fmt: skip
TURNS = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "Now."}]
ASKED = [
    Question("Why?", ["One.", "Two, at length."]),
    Question("Ümläut & <b>?", []),
    Question("How?", ["One.", "Two."], [{"title": "First", "url": "https://x"}, {}], TURNS),
]
FORMS = {
    "ChatML": (CHATML, {}),
    "a beginning of its own": (LLAMA, {}),
    "a beginning that the tokenizer adds": (LLAMA, {"adds_bos": True}),
    "no system message": (CHATML, {"system": ""}),
    "a template that leaves it out": (NO_SYSTEM, {}),
}


@pytest.mark.parametrize(("chat", "changes"), FORMS.values(), ids=FORMS)
def test_the_reference_is_what_the_prompt_step_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chat: str, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    made = {"chat_template": chat, "packages": "0456", "tokenizer": "0123/tokenizer.json", **SETTINGS, **changes}
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?")).to_str()
    step = TritonPythonModel()
    step.initialize(written(tmp_path, {"tokenizer.json": tokenizer, "prompt.j2": MESSAGE, "settings.json": made}))
    requests = []
    for query, texts, metadata, turns in ASKED:
        lists = {"passages": texts, "metadata": list(map(json.dumps, metadata))}
        arrays = {name: [text.encode() for text in values] for name, values in lists.items() if values}
        requests.append(request(query=query, messages=json.dumps(turns), **{"passages": [], **arrays}))
    prompts = [outputs(response)["prompt"][0].decode() for response in step.execute(requests)]
    assert rendered(Templates(MESSAGE, chat, made), ASKED) == prompts


HOSTILE = {
    "no end of computing": ("{{ 9**(9**9) }}{{ query }}", "exit code -"),
    "no end of memory": ("{{ ('a' * 2900000000) | length }}{{ query }}", "MemoryError"),
    "no template": ("{% if %}", "TemplateSyntaxError"),
    "a refusal": ("{{ raise_exception('no system message, please') }}", "ValueError: no system message, please"),
    "a way out": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
}


@pytest.mark.parametrize(("message", "end"), HOSTILE.values(), ids=HOSTILE)
def test_a_template_that_cannot_be_rendered_ends_in_its_own_process(
    monkeypatch: pytest.MonkeyPatch, message: str, end: str
) -> None:
    monkeypatch.setattr(rendering, "SECONDS", 1)
    with pytest.raises(ValueError, match=f"its templates cannot be rendered: .*{end}"):
        rendered(Templates(message, CHATML, SETTINGS), ASKED)


def test_a_template_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "WAIT_S", 0.001)
    with pytest.raises(ValueError, match=r"^rendering its templates takes more than 0\.001 s$"):
        rendered(Templates(MESSAGE, CHATML, SETTINGS), ASKED)


def test_a_missing_jinja_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "OPTIONS", ["-I", "-S"])
    with pytest.raises(ValueError, match=r"needs jinja2; run `pip install 'tritonrepo\[server\]'`"):
        rendered(Templates(MESSAGE, CHATML, SETTINGS), ASKED)


CONFIG: dict[str, Any] = {
    "name": "p",
    "input": [
        {"name": "query", "data_type": "TYPE_STRING", "dims": [1]},
        {"name": "passages", "data_type": "TYPE_STRING", "dims": [-1]},
    ],
    "output": [{"name": "prompt", "data_type": "TYPE_STRING", "dims": [1]}],
}


MORE = [
    {"name": "metadata", "data_type": "TYPE_STRING", "dims": [-1], "optional": True},
    {"name": "messages", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
]


def made(
    settings: object, message: str = MESSAGE, chat: str = CHATML, config: Mapping[str, Any] = CONFIG
) -> list[Case | Crowd | Result]:
    """Return the cases of a prompt step with these files."""
    settings = {"chat_template": chat, **settings} if isinstance(settings, dict) else settings
    content = {"prompt.j2": message, "settings.json": json.dumps(settings)}
    tree = {f"p/1/{name}": of_text(text) for name, text in content.items()} | {"p/config.pbtxt": of_text("")}
    return [*prompts.cases(of_config(config, "1", WHERE), expected.of(read(tree, target()), "r")["p"])]


def said(case: Case, prompt: str) -> list[str]:
    answer = {"prompt": of_values("prompt", "BYTES", [prompt], [1])}
    return [fault.message for fault in case.judge(Reply((answer,)))]


def passages(case: Case) -> list[str]:
    return [passage.decode() for passage in case.request.inputs[1].values.tolist()]


def right(case: Case, message: str, chat: str) -> str:
    """Return the prompt that these templates produce for a case."""
    query = case.request.inputs[0].values.item().decode()
    (prompt,) = rendered(Templates(message, chat, SETTINGS), [Question(query, passages(case))])
    return prompt


def test_a_prompt_is_asked_with_passages_that_are_long_and_fit() -> None:
    sizes = {}
    for window in (16384, 4096, 1024):
        first, crowd = made(dict(SETTINGS) | {"max_model_len": window})
        assert isinstance(first, Case)
        assert isinstance(crowd, Crowd)
        assert first is crowd.cases[0]
        sizes[window] = {len(passage) for passage in passages(first)}
        texts = [text for case in crowd.cases for text in passages(case)]
        assert len(set(texts)) == len(texts) == prompts.QUESTIONS * prompts.PASSAGES
    assert sizes == {16384: {2000}, 4096: {700}, 1024: {150}}


LIMITS: dict[str, tuple[dict[str, Any], int]] = {
    "the window, less an answer": ({"max_model_len": 1024}, 150),
    "less than the window": ({"max_model_len": 16384, "max_context_tokens": 928}, 150),
    "more than the window": ({"max_model_len": 1024, "max_context_tokens": 9999}, 150),
    "a longer answer": ({"max_model_len": 1800, "sampling": {"max_tokens": 872}}, 150),
}


@pytest.mark.parametrize(("limits", "size"), LIMITS.values(), ids=LIMITS)
def test_the_least_limit_decides_how_long_passages_are(limits: dict[str, Any], size: int) -> None:
    first, _ = made(dict(SETTINGS) | limits)
    assert isinstance(first, Case)
    assert {len(passage) for passage in passages(first)} == {size}


WRONG: dict[str, tuple[Callable[[str, str], str], str]] = {
    "as it is": (lambda text, _: text, ""),
    "a passage cut": (lambda text, own: text.replace(own, own[:99]), "the prompt cuts passage 2 after 99 of its 700"),
    "a passage gone": (lambda text, own: text.replace(own, ""), "the prompt lacks passage 2"),
    "a word more": (lambda text, own: text.replace(own, f"{own} x"), "which its templates do not produce"),
    "no turn": (lambda text, _: text.removesuffix("<|im_start|>assistant\n"), "which its templates do not produce"),
    "no system message": (lambda text, _: text.replace("Be brief.", ""), "the prompt lacks the system message"),
    "no query": (lambda text, _: text.replace("Which gauge", "What"), "the prompt lacks the query"),
    "nothing": (lambda *_: "", "the prompt lacks the system message, lacks the query, lacks passage 1, lacks"),
}  # fmt: skip


@pytest.fixture(scope="module")
def asked() -> tuple[Case, str]:
    """A case and its prompt."""
    case, _ = made(SETTINGS)
    assert isinstance(case, Case)
    return case, right(case, MESSAGE, CHATML)


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_a_prompt_is_judged_word_for_word(
    asked: tuple[Case, str], wrong: Callable[[str, str], str], message: str
) -> None:
    case, prompt = asked
    found = said(case, wrong(prompt, passages(case)[1]))
    assert [message in one for one in found] == [True] * bool(message)


def test_what_a_template_leaves_out_is_not_missed() -> None:
    first = "{% for passage in passages[:1] %}{{ passage }}{% endfor %} {{ query }}"
    case, _ = made(SETTINGS, first, NO_SYSTEM)
    assert isinstance(case, Case)
    assert not said(case, right(case, first, NO_SYSTEM))
    assert "passage 2" not in said(case, "")[0]


def test_a_prompt_is_asked_with_titles_and_with_earlier_turns_where_the_step_takes_them() -> None:
    own = {**CONFIG, "input": [*CONFIG["input"], *MORE]}
    plain, more = made(SETTINGS), made(SETTINGS, config=own)
    crowds = [each for each in (*plain, *more) if isinstance(each, Crowd)]
    names = [{tensor.name for tensor in case.request.inputs} for crowd in crowds for case in crowd.cases]
    basic = {"query", "passages"}
    assert names == [basic] * 8 + [basic | {"metadata"}, basic | {"metadata", "messages"}] * 4
    case = crowds[1].cases[1]
    inputs = {tensor.name: tensor.values.tolist() for tensor in case.request.inputs}
    question = Question(
        inputs["query"][0].decode(),
        passages(case),
        [json.loads(said) for said in inputs["metadata"]],
        json.loads(inputs["messages"][0]),
    )
    (prompt,) = rendered(Templates(MESSAGE, CHATML, SETTINGS), [question])
    assert not said(case, prompt)
    title, turn = question.metadata[2]["title"], question.turns[1]["content"]
    assert len({title, turn}) == 2
    assert "lacks title 3" in said(case, prompt.replace(title, "x"))[0]
    assert "lacks the earlier turn of the assistant" in said(case, prompt.replace(turn, "x"))[0]


UNKNOWN: dict[str, tuple[object, str, str]] = {
    "settings of another kind": ([], MESSAGE, "settings.json is not a JSON object with a chat_template"),
    "no chat template": ({"chat_template": None}, MESSAGE, "settings.json is not a JSON object with a chat_template"),
    "no limits": ({}, MESSAGE, "does not limit the length of a prompt: KeyError('sampling')"),
    "a short limit": (
        dict(SETTINGS) | {"max_model_len": 200},
        MESSAGE,
        "even a short prompt with 4 passages might not fit in 104",
    ),
    "no template": (SETTINGS, "{% if %}", "its templates cannot be rendered: jinja2.exceptions.TemplateSyntaxError"),
}


@tabled(("settings", "message", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_without_a_reference_the_best_passage_is_looked_for_and_the_rest_is_said(
    settings: object, message: str, reason: str
) -> None:
    told, case = made(settings, message)
    assert isinstance(told, Result)
    assert reason in told.unchecked
    assert told.outcome is Outcome.NOT_CHECKED
    assert isinstance(case, Case)
    query, own = case.request.inputs[0].values.item().decode(), passages(case)
    assert not said(case, f"{own[0]} {query}")
    assert said(case, f"{own[0][:30]} {query}") == ["the prompt cuts passage 1 after 30 of its 100 characters"]


PASSED: dict[str, tuple[dict[str, Any], str]] = {
    "as it was sent": ({}, ""),
    "defaults besides": ({"sampling_parameters": json.dumps({**SAMPLING, "seed": 7})}, ""),
    "another temperature": (
        {"sampling_parameters": json.dumps({**SAMPLING, "temperature": 1})},
        "temperature was sent as 0, but is passed on as 1",
    ),
    "no limit": ({"sampling_parameters": "{}"}, "max_tokens was sent as 8, but is passed on as None"),
    "no object": ({"sampling_parameters": "[8]"}, "sampling_parameters is passed on as '[8]', which is not a JSON obj"),
    "no JSON": ({"sampling_parameters": "[" * 90_000}, "sampling_parameters is passed on as '[[[["),
    "no stream": ({"stream": False}, "stream was sent as True, but is passed on as False"),
    "fewer sources than passages": ({"used": 3}, "used is 3, but the last passage in the prompt is passage 4"),
}


@tabled(("change", "message"), PASSED.values(), ids=PASSED)
def test_what_a_request_says_of_its_answer_must_be_passed_on(change: dict[str, Any], message: str) -> None:
    kinds = {"sampling_parameters": "STRING", "stream": "BOOL"}
    inputs = [{"name": name, "data_type": f"TYPE_{kind}", "dims": [1]} for name, kind in kinds.items()]
    outputs = [*inputs, {"name": "used", "data_type": "TYPE_INT32", "dims": [1]}]
    own = {"input": [*CONFIG["input"], *inputs], "output": [*CONFIG["output"], *outputs]}
    case = made(SETTINGS, config={**CONFIG, **own})[0]
    assert isinstance(case, Case)
    given = {"sampling_parameters": json.dumps(SAMPLING), "stream": True, "used": 4, **change}
    types = {"sampling_parameters": "BYTES", "stream": "BOOL", "used": "INT32"}
    answer = {name: of_values(name, types[name], [value], [1]) for name, value in given.items()}
    answer["prompt"] = of_values("prompt", "BYTES", [right(case, MESSAGE, CHATML)], [1])
    found = [flaw.message for flaw in case.judge(Reply((answer,)))]
    assert [one.startswith(message) for one in found] == [True] * bool(message)
