"""The form of a pipeline: when it is a Python model, what that model calls, and what knows it as a pipeline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tabled import tabled
from tests.test_chains import SEARCH, model
from tests.test_generate import changed, config, content, drafted, message, read
from tests.test_smoke_judges import index
from tritonrepo import api, repository
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.generate.draft import Draft
from tritonrepo.server.tensors import of_values
from tritonrepo.smoke import expected, links
from tritonrepo.smoke.case import Reply
from tritonrepo.smoke.sources import cited, listed
from tritonrepo.spec.forms import forms
from tritonrepo.tree import of_text

LISTING = changed("[e, r, g]", "[e, r, g], outputs: [answer, sources]")
CONTROLS = ("sampling_parameters", "stream", "exclude_input_in_output")
FORMS = {
    "nothing said": ("", ("ensemble", "since outputs has no sources")),
    "no sources": (", outputs: [answer]", ("ensemble", "since outputs has no sources")),
    "sources": (", outputs: [answer, sources]", ("bls", "since outputs has sources")),
    "an ensemble": (", form: ensemble", ("ensemble", "as the stack file says")),
    "sources by the form": (", form: bls", ("bls", "as the stack file says")),
    "left open": (", outputs: [sources], form: auto", ("bls", "since outputs has sources")),
}


@tabled(("keys", "form"), FORMS.values(), ids=FORMS)
def test_the_form_follows_from_the_outputs_unless_it_is_set(keys: str, form: tuple[str, str]) -> None:
    stack = read(changed("[e, r, g]", f"[e, r, g]{keys}"))
    assert [*forms(stack)] == [("s", "ensemble", "since outputs has no sources"), ("p", *form)]


PIPELINE = """\
name: "p" backend: "python" version_policy { specific { versions: 1 } } max_batch_size: 0
input { name: "query" data_type: TYPE_STRING dims: 1 optional: true }
input { name: "messages" data_type: TYPE_STRING dims: 1 optional: true }
input { name: "sampling_parameters" data_type: TYPE_STRING dims: 1 optional: true }
input { name: "stream" data_type: TYPE_BOOL dims: 1 optional: true }
input { name: "exclude_input_in_output" data_type: TYPE_BOOL dims: 1 optional: true }
output { name: "answer" data_type: TYPE_STRING dims: -1 }
output { name: "sources" data_type: TYPE_STRING dims: 1 }
instance_group { kind: KIND_CPU count: 1 }
model_transaction_policy { decoupled: true }
"""


def settings(draft: Draft, name: str = "p") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content(draft, f"{name}/{draft.pinned(name)}/settings.json"))
    return found


def test_a_pipeline_with_sources_is_a_python_model_that_pins_what_it_calls() -> None:
    draft = drafted(LISTING)
    assert config(draft, "p") == message(PIPELINE)
    assert json.loads(content(draft, "p/1/calls.json")) == {"e": 1, "r": 1, "g_prompt": 1, "g": 1}
    assert sorted(path for path in draft.tree if path.startswith("p/")) == [
        "p/1/calls.json",
        "p/1/conversation.py",
        "p/1/model.py",
        "p/1/settings.json",
        "p/config.pbtxt",
    ]


def test_its_settings_have_each_call_with_the_tensors_between_them() -> None:
    """The embedder and the retriever batch: what comes from outside gets a batch, which the prompt step does not take.

    What else the prompt step and the generator have, such as metadata, is theirs.
    """
    said = settings(drafted(LISTING))
    embedder, retriever, prompt, generator = said["steps"]
    assert embedder == {
        "model": "e",
        "inputs": {"text": "query"},
        "outputs": {"embedding": "query_embedding"},
        "axes": {"text": 1},
    }
    assert (retriever["model"], retriever["inputs"]["embedding"]) == ("r", "query_embedding")
    assert retriever["outputs"].items() >= {("passages", "passages"), ("ids", "ids"), ("scores", "scores")}
    assert (prompt["model"], generator["model"]) == ("g_prompt", "g")
    assert prompt["inputs"].items() >= {(name, name) for name in ("query", "passages", *CONTROLS)}
    assert prompt["axes"]["passages"] == -1
    assert prompt["outputs"].items() >= {("prompt", "prompt"), *((name, f"chosen_{name}") for name in CONTROLS)}
    assert generator["inputs"] == {"text_input": "prompt"} | {name: f"chosen_{name}" for name in CONTROLS}
    assert (generator["outputs"], generator["axes"]) == ({"text_output": "answer"}, {})
    assert said["sources"].items() >= {(name, name) for name in ("ids", "passages", "scores")}
    assert said["threads"] == 256


def test_without_sources_nothing_is_listed() -> None:
    draft = drafted(changed("[e, r, g]", "[e, r, g], outputs: [answer], form: bls"))
    assert [output.name for output in config(draft, "p").output] == ["answer"]
    assert settings(draft)["sources"] == {}
    assert "ids" not in settings(draft)["steps"][1]["outputs"]


def test_by_its_form_alone_a_pipeline_has_all_outputs() -> None:
    draft = drafted(changed("[e, r, g]", "[e, r, g], form: bls"))
    assert config(draft, "p") == message(PIPELINE)


def test_a_changed_step_gives_the_pipeline_a_new_version_with_new_pins() -> None:
    """Versions of one build never call those of another, so that a push switches all of them at once."""
    before = drafted(LISTING)
    after = drafted(LISTING, before.versions, prompt=of_text("{{ query }}"))
    assert json.loads(content(after, "p/2/calls.json")) == {"e": 1, "r": 1, "g_prompt": 2, "g": 1}
    assert config(after, "p").version_policy.specific.versions == [2]
    assert drafted(LISTING, before.versions).pinned("p") == 1


def test_the_stack_files_own_config_is_laid_over_it() -> None:
    more = "config: {instance_group: [{kind: KIND_CPU, count: 2}]}"
    draft = drafted(changed("[e, r, g]", f"[e, r, g], form: bls, {more}"))
    assert config(draft, "p").instance_group[0].count == 2


OWN: dict[str, tuple[Mapping[str, str], str, list[str], dict[str, int], dict[str, str]]] = {
    "a rewriter of the query": (
        {"o": "query:STRING[1] -> query:STRING[1]"},
        "[o, embedder, retriever, generator]",
        ["o query=query -> query=o_query", "embedder text=o_query -> embedding=query_embedding"],
        {"text": 1},
        {"ids": "ids", "passages": "passages"},
    ),
    "a sorter of passages": (
        {"o": "passages:STRING[-1] ids:STRING[-1] -> passages:STRING[-1] ids:STRING[-1] scores:FP32[-1] batch 8"},
        "[embedder, retriever, o, generator]",
        [SEARCH[0], "o ids=retriever_ids passages=retriever_passages -> ids=ids passages=passages scores=scores"],
        {},
        {"ids": "ids", "passages": "passages", "scores": "scores"},
    ),
}


def own(rag: Path, models: Mapping[str, str], pipeline: str) -> dict[str, Any]:
    """Build the example with own models and a pipeline `p`, and return the pipeline's settings."""
    (rag / "model.py").write_text("class TritonPythonModel:\n    def execute(self, requests): ...\n", "utf-8")
    path = rag / "tritonrepo.yaml"
    text = path.read_text("utf-8").partition("ensembles:\n")[0]
    path.write_text(f"{text}{''.join(model(*each) for each in models.items())}ensembles:\n  p: {pipeline}\n", "utf-8")
    api.apply_build(api.plan_build(api.load([path], api.Workspace(os.environ)), rag / "out"))
    found: dict[str, Any] = json.loads((rag / "out" / "p" / "1" / "settings.json").read_bytes())
    return found


def written(step: Mapping[str, Any]) -> str:
    takes, gives = (
        " ".join(f"{name}={tensor}" for name, tensor in sorted(step[kind].items())) for kind in ("inputs", "outputs")
    )
    return f"{step['model']} {takes} -> {gives}"


@pytest.mark.parametrize(("models", "chain", "steps", "axes", "sources"), OWN.values(), ids=OWN)
def test_own_models_can_be_in_the_chain(
    rag: Path, models: Mapping[str, str], chain: str, steps: list[str], axes: dict[str, int], sources: dict[str, str]
) -> None:
    found = own(rag, models, f"{{chain: {chain}, outputs: [answer, sources]}}")
    named = {step["model"]: step for step in found["steps"]}
    assert [written(named[step.partition(" ")[0]]) for step in steps] == steps
    assert named[steps[-1].partition(" ")[0]]["axes"] == axes
    assert found["sources"].items() >= sources.items()


def test_a_chain_without_ids_cannot_list_its_sources(rag: Path) -> None:
    with pytest.raises(Stop) as stop:
        own(
            rag,
            {"o": "query:STRING[1] -> passages:STRING[-1] scores:FP32[-1]"},
            "{chain: [o, generator], outputs: [sources]}",
        )
    (told,) = stop.value.diagnostics
    assert told.message == 'the output "sources" of "p" needs "ids", which no model of its chain returns'
    assert told.hint == "Add a retriever to the chain, or a model with these outputs."


def test_build_says_which_form_a_pipeline_has_and_why(rag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rag / "tritonrepo.yaml"
    text = path.read_text("utf-8")
    path.write_text(re.sub(r"outputs: \[answer[^]]*\]", "outputs: [answer, sources]", text), "utf-8")
    assert run(["build", "-f", str(path), "-o", str(rag / "out")]) == 0
    assert "rag: form bls, since outputs has sources\n" in capsys.readouterr().err
    assert run(["build", "-f", str(path), "-o", str(rag / "out")]) == 0
    assert "form" not in capsys.readouterr().err
    assert run(["build", "-f", str(path), "-o", str(rag / "out"), "-v"]) == 0
    assert "rag: form bls, since outputs has sources\n" in capsys.readouterr().err


def test_smoke_knows_what_it_searches() -> None:
    draft = drafted(LISTING)
    draft.tree |= {"r/1/embeddings.npy": of_text(""), "r/1/passages.jsonl": of_text("")}
    models = expected.of(repository.read(draft.tree, repository.target()), "r")
    found = links.pipelines(models)
    assert found["p"] == links.Pipeline("query", "e", "r", "1", whole=False, listed=True)
    assert found["s"] == links.Pipeline("query", "e", "r", "1", whole=True, listed=False)
    assert links.embedding({name: models[name] for name in ("e", "r", "p")}, {}) == {"e": "r"}


FORGED = {
    "no JSON": "{",
    "a bomb": "[" * 100_000,
    "no object": "[]",
    "no steps": "{}",
    "steps that are no list": '{"steps": {}}',
    "a step that is no object": '{"steps": [1]}',
    "a step without a model": '{"steps": [{"inputs": {}, "outputs": {}}]}',
    "a step without inputs": '{"steps": [{"model": "e", "outputs": {}}]}',
    "a tensor that is no name": '{"steps": [{"model": "e", "inputs": {"a": 1}, "outputs": {}}]}',
}


@tabled("text", FORGED.values(), ids=FORGED)
def test_settings_of_another_form_are_no_pipeline(text: str) -> None:
    draft = drafted(LISTING)
    draft.tree["p/1/settings.json"] = of_text(text)
    found = repository.read(draft.tree, repository.target())
    assert "p" not in links.pipelines(expected.of(found, "r"))


def sources(*ids: str, texts: Mapping[str, str] = {}) -> str:
    return json.dumps([{"id": id_, "text": texts.get(id_, f"text {id_.removeprefix('p')}")} for id_ in ids])


def described(*said: Mapping[str, object]) -> str:
    return json.dumps([{"id": f"p{n}", "text": f"text {n}", **each} for n, each in enumerate(said)])


NOT_FIRST = "the sources are in {}, but must be in the first one and no other"
JUDGED: dict[str, tuple[list[dict[str, str]], str]] = {
    "right": ([{"sources": sources("p1", "p0")}, {"answer": "x"}], ""),
    "none": ([{"answer": "x"}], NOT_FIRST.format("no response")),
    "late": ([{"answer": "x"}, {"sources": sources("p1")}], NOT_FIRST.format("responses 2")),
    "twice": ([{"sources": sources("p1")}] * 2, NOT_FIRST.format("responses 1, 2")),
    "no JSON": ([{"sources": "p1, p0"}], "the sources are 'p1, p0', but must be a JSON list of objects such as"),
    "no list": ([{"sources": '{"id": "p1"}'}], 'the sources are \'{"id": "p1"}\', but must be a JSON list'),
    "no text": ([{"sources": '[{"id": "p1"}]'}], 'the sources are \'[{"id": "p1"}]\', but must be a JSON list'),
    "empty": ([{"sources": "[]"}], "the answer has no sources"),
    "another id": ([{"sources": sources("p1", "p9")}], 'the id "p9" of a source is not in the index'),
    "another text": (
        [{"sources": sources("p1", texts={"p1": "text 0"})}],
        'the source "p1" does not have the stored text: "text 0…"',
    ),
    "one passage twice": ([{"sources": sources("p1", "p1")}], 'the source "p1" is listed twice'),
    "its own title": ([{"sources": described({"title": None, "url": None, "metadata": {}})}], ""),
    "the title of another": (
        [{"sources": described({"title": "Pumps", "url": None, "metadata": {}})}],
        'the source "p0" does not have its stored title: "Pumps", not null',
    ),
    "the metadata of another": (
        [{"sources": described({"title": None, "url": None, "metadata": {"page": 7}})}],
        'the source "p0" does not have its stored metadata: {"page": 7}, not {}',
    ),
    "best first": ([{"sources": described({"score": 0.9}, {"score": 0.9})}], ""),
    "a score that is no number": ([{"sources": described({"score": None}, {"score": 0.9})}], ""),
    "best last": (
        [{"sources": described({"score": 0.1}, {"score": 0.9})}],
        "the sources have scores that are not in descending order: 0.1 at place 1, but 0.9 after it",
    ),
}


@tabled(("responses", "message"), JUDGED.values(), ids=JUDGED)
def test_sources_come_first_and_are_passages_of_the_index(responses: list[dict[str, str]], message: str) -> None:
    reply = Reply(
        tuple({name: of_values(name, "BYTES", [text], [1]) for name, text in each.items()} for each in responses)
    )
    flaws = [flaw.message for flaw in listed(index([[1, 0], [0, 1]]))(reply)]
    assert [flaw.startswith(message) for flaw in flaws] == ([True] if message else [])


def test_what_a_model_of_the_user_says_of_a_source_is_not_compared() -> None:
    text = described({"score": 0.1, "title": "Pumps", "metadata": {}}, {"score": 0.9})
    reply = Reply(({"sources": of_values("sources", "BYTES", [text], [1])},))
    assert not [*listed(index([[1, 0], [0, 1]]), links.Listing(described=False, ranked=False))(reply)]


CITED: dict[str, tuple[list[int], str, str]] = {
    "in their order": ([0, 1, 2], "[1] text 0 [2] text 1 [3] text 2?", ""),
    "in another": (
        [1, 0, 2], "[1] text 0 [2] text 1 [3] text 2?", 'source 2, "p0", is in the prompt before source 1, "p1"',
    ),
    "one not there": ([0, 1, 2], "[1] text 0 [3] text 2?", 'source 2, "p1", is not in the prompt'),
    "the last one cut": ([0, 1, 2], "[1] text 0 [2] text 1 [3] text", ""),
    "changed by the template": ([0, 1], "TEXT 0, TEXT 1", ""),
    "one alone": ([0], "text 1", ""),
    "no JSON": ([], "text 1", ""),
}  # fmt: skip


@tabled(("rows", "prompt", "message"), CITED.values(), ids=CITED)
def test_the_sources_are_in_the_order_in_which_the_prompt_numbers_them(
    rows: list[int], prompt: str, message: str
) -> None:
    listed = json.dumps([{"id": f"p{row}", "text": f"text {row}"} for row in rows]) if rows else "{"
    given = {"answer": prompt, "sources": listed}
    reply = Reply(({name: of_values(name, "BYTES", [text], [1]) for name, text in given.items()},))
    assert [flaw.message for flaw in cited(reply)] == ([message] if message else [])


def test_what_lists_its_sources_by_models_of_the_stack_is_known() -> None:
    draft = drafted(LISTING)
    draft.tree |= {"r/1/embeddings.npy": of_text(""), "r/1/passages.jsonl": of_text("")}
    models = expected.of(repository.read(draft.tree, repository.target()), "r")
    assert links.listing(models, "p").ranked
    without = {name: model for name, model in models.items() if name != "r"}
    assert links.listing(without, "p") == links.Listing(described=False, ranked=False)
