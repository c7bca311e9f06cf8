"""A generator at an endpoint in the stack file: what is refused, what is built, and how its prompts are counted."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft7Validator
from yaml import safe_load

from tests.documents import blocks
from tests.tensors import outputs, request, written
from tests.test_generator import own as own  # noqa: PLC0414  a fixture
from tests.test_own_stacks import ANSWER
from tests.test_spec import read, said
from tritonrepo.cli import run
from tritonrepo.generate.steps import chat_request
from tritonrepo.generate.steps.estimating import BYTES, Estimate
from tritonrepo.generate.steps.prompt import TritonPythonModel
from tritonrepo.parts import PARTS, endpoint, prompting
from tritonrepo.spec.schema import schema

URL = "http://llm:8000/v1"
GIVEN = f"endpoint: {{url: '{URL}', model: m}}, args: {{max_model_len: 900}}"


def stack(keys: str) -> str:
    return f"name: s\nmodels:\n  g: {{role: generator, engine: openai, {keys}}}\n"


def at(keys: str) -> str:
    """Return a stack whose endpoint has these keys besides its address."""
    return stack(GIVEN.replace("model: m}", f"model: m, {keys}}}"))


REFUSED: dict[str, tuple[str, str]] = {
    stack("args: {max_model_len: 900}"): ('3:32: fatal: engine "openai" needs an endpoint', "Add `endpoint: {url: URL"),
    stack(f"{GIVEN}, local: ./x"): ('engine "openai" has no local, which the endpoint runs itself', "Remove it."),
    stack(f"{GIVEN}, lora: {{a: {{path: /a}}}}"): ('engine "openai" has no lora', "name the adapter in endpoint.model"),
    stack(GIVEN.partition(", args")[0]): (
        "nothing says how many tokens the endpoint's model reads",
        "Set max_model_len",
    ),
    stack(GIVEN.replace("900", "-1")): ("nothing says how many tokens the endpoint's model reads", "Set max_model_len"),
    stack(GIVEN.replace("900", "256")): ("an answer may take 256 tokens, but prompt and answer", "Set max_tokens in"),
    stack(f"{GIVEN}, sampling: {{lora_name: a}}"): ('"lora_name" cannot be sent to an endpoint', "Remove lora_name"),
    stack(f"{GIVEN}, sampling: {{n: 2}}"): ('"n" cannot be sent to an endpoint: the answer is one text', "Remove n"),
    stack(f"{GIVEN}, weights: {{path: x}}"): ('the path of the weights must be absolute, not "x"', "Set path to"),
    stack(GIVEN.replace(URL, "ftp://llm/v1")): ('must be an http or https address, not "ftp://llm/v1"', "Write an"),
    stack(GIVEN.replace(URL, "http://llm:x/v1")): ('must be an http or https address, not "http://llm:x/v1"', "Write"),
    stack(GIVEN.replace(URL, "http://llm/v1?key=1")): ("must be an http or https address", "Write an address such as"),
    stack(GIVEN.replace(URL, "http://a b/v1")): ("must be an http or https address", "Write an address such as"),
    stack(GIVEN.replace(URL, "http://löwe/v1")): ("must be an http or https address", "Write an address such as"),
    stack(GIVEN.replace(f"'{URL}'", '"http://a\\eb/v1"')): (
        "must be an http or https address",
        "Write an address such as",
    ),
    stack(GIVEN.replace(URL, "https://me:pw@llm/v1")): (
        "cannot have a user or a password",
        "Use `api_key: {env: NAME}`",
    ),
    stack(GIVEN.replace(URL, f"{URL}/chat/completions")): ("ends before the name of a method", f"Write `{URL}`."),
    stack(GIVEN.replace("model: m}", "model: ' '}")): ("the model of an endpoint is empty", "Use a name that"),
    at("api_key: sk-secret"): ('"api_key" must be a mapping of keys to values', ""),
    at("api_key: {env: sk-1}"): ('"sk-1" cannot be the name of an environment variable', "Use letters, digits and _"),
    at("headers: {'a b': {env: X}}"): ('"a b" cannot be the name of a header', "Use letters, digits and -."),
    at("headers: {Host: {env: X}}"): ('header "Host" is set for each request', "Remove it."),
    at("headers: {A: {env: X}, a: {env: Y}}"): ('header "a" is set twice', "Remove one of the two."),
    at("api_key: {env: K}, headers: {authorization: {env: X}}"): ('header "authorization" is set twice', "Remove one"),
    at("timeouts: {first: 0s}"): ('"first" must be more than 0', "Set it to a time such as 5s."),
    at("timeouts: {first: 5}"): ('"first" must be a time such as 2ms, not "5"', "Use a number with one of the units"),
    at("retries: -1"): ('"retries" must be at least 0, not -1', ""),
    at("connections: 0"): ('"connections" must be at least 1, not 0', ""),
    at("check: later"): ('"check" cannot be "later"', "Use one of: always, auto, never."),
    at("extra: {model: x}"): ('extra cannot set "model"', "Set endpoint.model."),
    at("extra: {stream: false}"): ('extra cannot set "stream"', "Remove stream from extra."),
    stack(f"{GIVEN.replace('model: m', 'model: m, extra: {top_k: 1}')}, sampling: {{top_k: 2}}"): (
        '"top_k" is in sampling and in extra',
        "Remove one of the two.",
    ),
    f"name: s\nmodels:\n  g: {{role: generator, {GIVEN}}}\n": (
        'generator "g" has an endpoint, but engine is vllm',
        "Set",
    ),
    "name: s\nmodels:\n  g: {role: generator}\n": ('required key "source" is missing', "Add source (the model: on the"),
}
"""Stacks, and the message and hint of what is wrong with them."""


def test_what_cannot_work_is_refused_at_its_place() -> None:
    for text, (message, hint) in REFUSED.items():
        found = said(text)
        assert message in found, text
        assert hint in found, text
        assert re.search(r"a\.yaml:[1-9]\d*:[1-9]", found), text


def test_the_schema_accepts_what_the_build_accepts() -> None:
    validator = Draft7Validator(schema(PARTS))
    right = [stack(GIVEN), at("api_key: {env: K}, headers: {X-A: {env: B}}, timeouts: {first: 5s}, extra: {top_k: 1}")]
    for text in right:
        assert not [*validator.iter_errors(safe_load(text))], text
    for text in (stack("args: {}"), stack(GIVEN.replace(URL, "llm:8000")), at("api_key: sk"), at("extra: {model: x}")):
        assert [*validator.iter_errors(safe_load(text))], text
    assert [*validator.iter_errors(safe_load("name: s\nmodels:\n  g: {role: generator}\n"))]


def test_the_page_shows_a_stack_that_is_read() -> None:
    (shown,) = (block.text for block in blocks("openai.md"))
    stack = read(f"name: s\n{shown}")
    assert stack.models["generator"].endpoint.extra == {"top_k": 20}  # type: ignore[attr-defined]


GENERATOR = "role: generator, engine: openai, tokenizer: ./m, chat_template_kwargs: {thinking: false}"
REMOTE = ANSWER.replace(
    ANSWER[ANSWER.index("{role: generator") : ANSWER.index("}\nensembles") + 1],
    f"{{{GENERATOR}, endpoint: {{url: '{URL}/', model: m, api_key: {{env: K}}, timeouts: {{first: 90s}}}}}}",
)


def made(path: str) -> Any:  # noqa: ANN401  JSON
    return json.loads(Path("model_repository", path).read_text("utf-8"))


@pytest.mark.usefixtures("own")
def test_the_models_are_written_without_secrets_and_judged_clean(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tritonrepo.yaml").write_text(REMOTE, "utf-8")
    config = json.loads(Path("m", "tokenizer_config.json").read_text("utf-8"))
    config["chat_template"] += "{% if thinking %}<think>{% endif %}"
    Path("m", "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    assert run(["build"]) == 0
    assert run(["validate", "model_repository"]) == 0
    assert "no problems found" in capsys.readouterr().out
    settings = made("g/1/settings.json")
    assert (settings["url"], settings["api_key"], settings["sampling"]) == (URL, "K", {"max_tokens": 256})
    assert settings["timeouts"] == {"connect": 5, "first": 90, "between": 60, "total": 600}
    assert settings["extra"] == {"chat_template_kwargs": {"thinking": False}}
    prompt = made("g_prompt/1/settings.json")
    assert (prompt["chat_template"], prompt["max_model_len"]) == (prompting.MESSAGES_ALONE, 2048)
    assert prompt["special_tokens"] == ["<s>", "</s>", "<|user|>"]
    assert "vllm" not in Path("model_repository", "g", "config.pbtxt").read_text("utf-8")
    assert run(["build", "--check"]) == 0
    assert run(["adopt", "model_repository", "-o", "adopted.yaml"]) == 0
    adopted = Path("adopted.yaml").read_text("utf-8")
    assert "engine: openai" in adopted
    assert "api_key: {env: K}" in adopted
    capsys.readouterr()
    run(["build", "-f", "adopted.yaml", "-o", "model_repository", "--check"])
    assert [line for line in capsys.readouterr().out.splitlines() if line[:1] in "+-~"] == [
        "~ tritonrepo.json  changed"
    ]
    again = REMOTE.replace("tokenizer: ./m", "tokenizer: ./model_repository/g_prompt")
    Path("tritonrepo.yaml").write_text(again, "utf-8")
    assert run(["build", "-o", "again"]) == 0
    path = "g_prompt/1/settings.json"
    assert Path("again", path).read_bytes() == Path("model_repository", path).read_bytes()


def prompted(step: TritonPythonModel, query: str, passages: list[str], **more: str) -> dict[str, Any]:
    texts = np.array([passage.encode() for passage in passages], dtype=object)
    return outputs(step.answer(request(query=query, passages=texts, **more)))


def test_prompts_without_a_tokenizer_are_messages_that_fit_by_an_estimate(tmp_path: Path) -> None:
    settings = {
        "max_model_len": 300,
        "max_context_tokens": None,
        "system": "Be brief.",
        "sampling": {"max_tokens": 100},
        "bos_token": "",
        "eos_token": "",
        "adds_bos": False,
        "special_tokens": list(prompting.MARKERS),
        "chat_template": prompting.MESSAGES_ALONE,
        "packages": "none",
    }
    step = TritonPythonModel()
    step.initialize(written(tmp_path, {"settings.json": settings, "prompt.j2": prompting.DEFAULT_PROMPT}))
    found = prompted(step, 'Why "<|im_end|>" </s>?', ['A "quoted"\nline.', "Two."])
    messages = json.loads(found["prompt"][0])
    assert [each["role"] for each in messages] == ["system", "user"]
    assert messages[1]["content"].endswith('[2] Two.\n\nQuestion: Why "< |im_end|>" < /s>?')
    assert found["used"] == [2]
    many = prompted(step, "q", [f"{number} {'word ' * 20}" for number in range(9)])
    assert len(many["prompt"][0]) <= 200 * BYTES
    assert 3 <= many["used"][0] < 9
    cut = json.loads(prompted(step, "q", ["über " * 900])["prompt"][0])
    assert 300 < len(cut[1]["content"].encode()) <= 600
    assert chat_request.messages(found["prompt"][0].decode()) == messages


def test_an_estimate_has_places_of_whole_characters() -> None:
    for text in ("", "a", "ab", "abcdef", "äöü", "中文字", "a😀b😀", "\ud800x"):
        encoded = Estimate().encode(text, add_special_tokens=False)
        ends = [end for _, end in encoded.offsets]
        assert len(ends) == len(encoded) == -(-len(text.encode("utf-8", "replace")) // BYTES)
        assert ends == sorted(ends)
        assert ends[-1:] == ([len(text)] if text else [])
    assert Estimate().encode("abcdefg").offsets == [(0, 3), (3, 6), (6, 7)]


def test_the_step_is_whole_and_agrees_with_the_checks() -> None:
    steps = resources.files("tritonrepo.generate").joinpath("steps")
    imported = set(endpoint.STEPS)
    for name in endpoint.STEPS:
        text = steps.joinpath(f"{name}.py").read_text("utf-8")
        assert set(re.findall(r"^from \.(\w+) import|^from \. import (\w+)", text, re.MULTILINE)) <= {
            pair for each in imported for pair in ((each, ""), ("", each))
        }
    assert endpoint.NEVER.keys() == chat_request.NEVER.keys()
