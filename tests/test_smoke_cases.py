"""What `smoke` sends: values made up or given, cases of a stack, of pipelines and of streams; and what it compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Span
from tritonrepo.parts import PARTS
from tritonrepo.repository import read, target
from tritonrepo.server.tensors import Tensor, of_values
from tritonrepo.smoke import drift, expected, generated, links
from tritonrepo.smoke.answers import echoes, stream
from tritonrepo.smoke.case import Case, Check, Crowd, Outcome, Protocol, Reply, Result
from tritonrepo.smoke.declared import case as declared
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.made import controls, given, made_up
from tritonrepo.smoke.plan import Known, cases, named
from tritonrepo.smoke.served import Served, of_config
from tritonrepo.spec.expectation import Expectation
from tritonrepo.spec.stack import Smoke
from tritonrepo.tree import Entry, Unreadable, of_text

AT = Span("http://x/v2/models/m")
BOTH = (Protocol.GRPC, Protocol.HTTP)


def tensor(name: str, kind: str, *dims: int, **more: object) -> dict[str, object]:
    return {"name": name, "data_type": f"TYPE_{kind}", "dims": list(dims), **more}


def served(*inputs: dict[str, object], name: str = "m", version: str = "1", **more: object) -> Served:
    outputs = [tensor("OUT", "FP32", -1), tensor("TEXT", "STRING", -1)]
    return of_config({"name": name, "input": list(inputs), "output": outputs} | more, version, AT)


def told(tensors: tuple[Tensor, ...] | list[Tensor]) -> list[tuple[str, str, tuple[int, ...], object]]:
    return [(t.name, t.datatype, t.values.shape, t.values.ravel().tolist()) for t in tensors]


SHAPES: dict[str, tuple[int, list[int], tuple[object, ...], tuple[int, ...]]] = {
    "one value": (0, [1], (5,), (1,)),
    "any size": (0, [-1], ([5, 6, 7],), (3,)),
    "one value of any size": (0, [-1], (5,), (1,)),
    "any size beside a known one": (0, [-1, 2], ([1, 2, 3, 4],), (2, 2)),
    "a known size first": (0, [2, -1], ([1, 2, 3, 4, 5, 6],), (2, 3)),
    "two of any size": (0, [-1, -1], ([1, 2],), (2, 1)),
    "rows of a batch": (4, [1], (5, 6, 7), (3, 1)),
    "rows of any size": (4, [-1], ([1, 2], [3, 4], [5, 6]), (3, 2)),
}


@tabled(("batch", "dims", "values", "shape"), SHAPES.values(), ids=SHAPES)
def test_values_are_given_in_the_shape_of_the_config(
    batch: int, dims: list[int], values: tuple[object, ...], shape: tuple[int, ...]
) -> None:
    made = given(served(tensor("IN", "INT64", *dims), max_batch_size=batch), "IN", *values)
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    assert told([made]) == [("IN", "INT64", shape, flat)]


def test_an_input_that_the_model_has_not_is_told_with_those_that_it_has() -> None:
    with pytest.raises(ValueError, match='unknown input "X"; the model has IN, TOO'):
        given(served(tensor("IN", "FP32", 1), tensor("TOO", "FP32", 1)), "X", 1)
    with pytest.raises(ValueError, match='unknown input "X"; the model has no inputs'):
        given(served(), "X", 1)


def test_made_up_values_are_ones_true_and_a_word() -> None:
    inputs = [tensor("F", "FP16", 2), tensor("B", "BOOL", 1), tensor("T", "STRING", -1), tensor("S", "INT8")]
    request = made_up(served(*inputs))
    assert told(request.inputs) == [
        ("F", "FP16", (2,), [1, 1]),
        ("B", "BOOL", (1,), [True]),
        ("T", "BYTES", (1,), [b"smoke"]),
        ("S", "INT8", (), [1]),
    ]
    assert (request.model, request.version, request.sequence) == ("m", "1", 0)


def test_a_stateful_model_gets_a_sequence_and_no_other() -> None:
    assert made_up(served(sequence_batching={})).sequence == 7100
    assert made_up(served(dynamic_batching={})).sequence == 0
    assert made_up(served(sequence_batching={"iterative_sequence": True})).sequence == 0


def test_a_sequence_has_an_id_of_the_type_that_its_control_declares() -> None:
    """model_config.proto, CONTROL_SEQUENCE_CORRID."""
    for kind, id_ in (("STRING", "7100"), ("UINT32", 7100)):
        control = {"kind": "CONTROL_SEQUENCE_CORRID", "data_type": f"TYPE_{kind}"}
        start = {"name": "START", "control": [{"kind": "CONTROL_SEQUENCE_START", "fp32_false_true": [0, 1]}]}
        batching = {"control_input": [start, {"name": "ID", "control": [control]}]}
        assert made_up(served(sequence_batching=batching)).sequence == id_


def test_a_warm_up_shows_what_a_model_accepts() -> None:
    sample = {"inputs": {"F": {"data_type": "TYPE_FP32", "dims": ["3", "8"], "zero_data": True}, "G": {"dims": [1]}}}
    inputs = [tensor("F", "FP32", -1, 8), tensor("G", "INT32", -1, 2)]
    request = made_up(served(*inputs, max_batch_size=4, model_warmup=[sample, {"inputs": {"F": {"dims": [9, 9]}}}]))
    assert told(request.inputs) == [("F", "FP32", (1, 3, 8), [0] * 24), ("G", "INT32", (1, 1, 2), [1, 1])]


OPTIONAL = tensor("MORE", "INT32", 2, optional=True)
GENERATED: dict[str, tuple[Served, list[tuple[str, list[tuple[int, ...]], int]]]] = {
    "no batch": (served(tensor("IN", "FP32", 2)), [("", [(2,)], 0)]),
    "a batch of one": (served(tensor("IN", "FP32", 2), max_batch_size=1), [("", [(1, 2)], 0)]),
    "a batch of two": (
        served(tensor("IN", "FP32", 2), max_batch_size=2), [("", [(1, 2)], 0), ("a batch of 2", [(2, 2)], 0)],
    ),
    "at most eight rows": (
        served(tensor("IN", "FP32", 2), max_batch_size=99),
        [("", [(1, 2)], 0), ("a batch of 2", [(2, 2)], 0), ("a batch of 8", [(8, 2)], 0)],
    ),
    "an optional input": (
        served(tensor("IN", "FP32", 2), OPTIONAL), [("", [(2,)], 0), ("all inputs", [(2,), (2,)], 0)],
    ),
    "a sequence": (served(tensor("IN", "FP32", 2), max_batch_size=9, sequence_batching={}), [("", [(1, 2)], 1)]),
    "an iterative sequence": (
        served(tensor("IN", "FP32", 2), max_batch_size=9, sequence_batching={"iterative_sequence": True}),
        [("", [(1, 2)], 0)],
    ),
    "a size and a text to choose": (served(tensor("IN", "STRING", -1)), [("", [(1,)], 4)]),
    "an image": (served(tensor("IN", "UINT8", -1, -1, 3)), [("", [(1, 1, 3)], 2)]),
    "what would be too large": (served(tensor("IN", "FP32", -1, -1, -1)), [("", [(1, 1, 1)], 1)]),
    "a large image in a batch": (
        served(tensor("IN", "FP32", 3, 512, 512), max_batch_size=8), [("", [(1, 3, 512, 512)], 0)],
    ),
}  # fmt: skip


@tabled(("on", "wanted"), GENERATED.values(), ids=GENERATED)
def test_a_model_is_asked_alone_with_all_inputs_and_in_batches(
    on: Served, wanted: list[tuple[str, list[tuple[int, ...]], int]]
) -> None:
    asked = [*generated.cases(on)]
    shapes = [(one.what, [t.values.shape for t in one.request.inputs], len(one.others)) for one in asked]
    assert shapes == wanted
    assert [one.guess for one in asked] == [one.what == "all inputs" for one in asked]
    assert [one.follows for one in asked] == [bool(one.what) for one in asked]


def test_a_stream_about_which_nothing_is_known_may_lack_its_last_dimension_of_one() -> None:
    outputs = [tensor("OUT", "FP32", 1)]
    on = served(tensor("IN", "FP32", 1), output=outputs, max_batch_size=2, **DECOUPLED)
    came = Reply(({"OUT": of_values("OUT", "FP32", [1], [1])},))
    (known,) = [one for one in cases(Known(), [on]) if isinstance(one, Case)]
    assert [[flaw.minor for flaw in case.judge(came)] for case in (known, stream(on))] == [[True], [False]]


def test_strings_are_also_the_names_of_other_models() -> None:
    models = [served(tensor("IN", "STRING", 1), name=name) for name in "abcdefg"]
    (case,) = [one for one in cases(Known(), models) if isinstance(one, Case) and one.request.model == "b"]
    sent = [one.inputs[0].values.item() for one in (case.request, *case.others)]
    assert sent == [b"smoke", b"{}", b"1", b"a", b"c", b"d", b"e"]


def test_an_input_too_large_to_make_up_is_told() -> None:
    (result,) = cases(Known(), [served(tensor("IN", "FP32", 1 << 40, 1 << 40))])
    assert isinstance(result, Result)
    assert [d.message for d in result.diagnostics] == ["m cannot be tested: its inputs have more than 256 MiB"]


def test_outputs_may_be_missing_as_long_as_an_optional_input_is() -> None:
    on = served(tensor("IN", "FP32", 2), OPTIONAL)
    alone, everything = [one.judge for one in generated.cases(on)]
    half = Reply(({"OUT": of_values("OUT", "FP32", [1], [1])},))
    assert [[flaw.message for flaw in judge(half)] for judge in (alone, everything)] == [
        [], ["the response lacks the declared output TEXT; it has OUT"],
    ]  # fmt: skip
    assert [flaw.message for flaw in alone(Reply(({},)))] == [
        "the response lacks the declared outputs OUT, TEXT; it has no outputs"
    ]


SAMPLING = tensor("sampling_parameters", "STRING", 1, optional=True)
STREAM = tensor("stream", "BOOL", 1, optional=True)
CONTROLS: dict[str, tuple[list[dict[str, object]], list[str]]] = {
    "both": ([SAMPLING, STREAM], ["sampling_parameters", "stream"]),
    "one": ([STREAM], ["stream"]),
    "none": ([tensor("IN", "FP32", 1)], []),
    "another type": ([tensor("stream", "STRING", 1), SAMPLING], ["sampling_parameters"]),
}


@pytest.mark.parametrize(("inputs", "names"), CONTROLS.values(), ids=CONTROLS)
def test_controls_are_sent_to_what_has_them_in_their_type(inputs: list[dict[str, object]], names: list[str]) -> None:
    sent = controls(served(*inputs))
    assert [one.name for one in sent] == names
    values = {one.name: one.values.item() for one in sent}
    assert values.get("stream", True) is True
    if "sampling_parameters" in values:
        asked = json.loads(values["sampling_parameters"])
        assert asked == {"max_tokens": 8, "temperature": 0, "ignore_eos": True}


def of_stack(
    inputs: Mapping[str, object], on: Served, expect: Mapping[str, Expectation] | None = None
) -> Case | Result:
    places = {"": Span("stack.yaml", 7, 5)}
    wanted = {"OUT": Expectation(not_empty=True)} if expect is None else expect
    return declared(on, Smoke(model=on.name, inputs=inputs, expect=wanted, places=places), 3)


VALUES: dict[str, tuple[int, list[int], object, tuple[int, ...]]] = {
    "a value": (0, [1], 5, (1,)),
    "a list": (0, [2], [5, 6], (2,)),
    "any size": (0, [-1], [5, 6, 7], (3,)),
    "a matrix": (0, [2, 1], [[5], [6]], (2, 1)),
    "a row for a matrix": (0, [-1, 2], [5, 6], (1, 2)),
    "a value in a batch": (4, [1], 5, (1, 1)),
    "a list as one row": (4, [2], [5, 6], (1, 2)),
    "rows": (4, [2], [[5, 6], [7, 8], [9, 0]], (3, 2)),
    "nothing of any size": (0, [-1], [], (0,)),
}


@tabled(("batch", "dims", "value", "shape"), VALUES.values(), ids=VALUES)
def test_a_declared_value_takes_the_shape_of_its_input(
    batch: int, dims: list[int], value: object, shape: tuple[int, ...]
) -> None:
    made = of_stack({"IN": value}, served(tensor("IN", "INT64", *dims), max_batch_size=batch))
    assert isinstance(made, Case)
    assert made.request.inputs[0].values.shape == shape
    assert (made.check, made.what, made.at) == (Check.DECLARED, "3", Span("stack.yaml", 7, 5))
    assert (made.protocols, made.streamed, made.compared) == (BOTH, False, None)


UNFIT: dict[str, tuple[int, Mapping[str, object], Mapping[str, Expectation], str, str]] = {
    "an unknown input": (0, {"INN": 1}, {}, 'm: unknown input "INN"', 'Did you mean "IN"?'),
    "an unknown output": (0, {"IN": 1}, {"OUTT": Expectation(first="x")}, 'm: unknown output "OUTT"', '"OUT"'),
    "another size": (0, {"IN": [1, 2]}, {}, 'm: input "IN" must have shape [1], not [2]', "Fix the case"),
    "too deep": (0, {"IN": [[1]]}, {}, 'm: input "IN" must have shape [1], not [1, 1]', "Fix the case"),
    "too deep for a batch": (4, {"IN": [[[1]]]}, {}, 'm: input "IN" must have shape [-1, 1], not [1, 1, 1]', "Fix"),
    "words": (0, {"IN": "x"}, {}, "m: input \"IN\" must be INT64, not 'x': ", "Fix the case in the stack file."),
    "a number too large": (0, {"IN": 1 << 70}, {}, 'm: input "IN" must be INT64, not 1180591620717411303424: ', "Fix"),
}


@tabled(("batch", "inputs", "expect", "message", "hint"), UNFIT.values(), ids=UNFIT)
def test_a_declared_case_that_does_not_fit_is_told_at_its_place(
    batch: int, inputs: Mapping[str, object], expect: Mapping[str, Expectation], message: str, hint: str
) -> None:
    result = of_stack(inputs, served(tensor("IN", "INT64", 1), max_batch_size=batch), expect)
    assert isinstance(result, Result)
    assert (result.model, result.version, result.check, result.what) == ("m", "1", Check.DECLARED, "3")
    ((rule, severity, at, said, mend),) = [(d.rule, d.severity, d.at, d.message, d.hint) for d in result.diagnostics]
    assert (rule, severity, at) == ("smoke-declared", Severity.ERROR, Span("stack.yaml", 7, 5))
    assert said.startswith(message)
    assert hint in mend


def test_a_declared_case_is_judged_by_its_form_first_and_for_all_its_rows() -> None:
    made = of_stack({"IN": [[1], [2]]}, served(tensor("IN", "INT64", 1), max_batch_size=4))
    assert isinstance(made, Case)
    texts = of_values("TEXT", "BYTES", ["a", "b"], [2, 1])
    for rows, values, messages in (
        (2, [0, 1], []),
        (1, [1], ["output OUT has shape [1, 1], but the config declares [2, -1]"]),
        (2, [], ["output OUT is empty; it is []"]),
    ):
        out = of_values("OUT", "FP32", values, [rows, len(values) // rows])
        assert [flaw.message for flaw in made.judge(Reply(({"OUT": out, "TEXT": texts},)))] == messages


DECOUPLED: dict[str, Any] = {"model_transaction_policy": {"decoupled": True}}


def test_a_declared_stream_goes_over_http_only_if_http_can_carry_it() -> None:
    list_ = of_stack({"IN": [1, 2]}, served(tensor("IN", "INT64", -1), **DECOUPLED))
    matrix = of_stack({"IN": [[1, 2], [3, 4]]}, served(tensor("IN", "INT64", 2, 2), **DECOUPLED))
    alone = of_stack({"IN": [[1, 2], [3, 4]]}, served(tensor("IN", "INT64", 2, 2)))
    assert isinstance(list_, Case)
    assert isinstance(matrix, Case)
    assert isinstance(alone, Case)
    assert (list_.protocols, list_.streamed) == (BOTH, True)
    assert (matrix.protocols, matrix.streamed) == ((Protocol.GRPC,), True)
    assert (alone.protocols, alone.streamed) == (BOTH, False)


QUERY = tensor("query", "STRING", 1)
ECHO = tensor("exclude_input_in_output", "BOOL", 1, optional=True)


def test_a_stream_of_what_http_cannot_carry_goes_over_grpc_only() -> None:
    assert stream(served(tensor("IN", "FP32", 1), **DECOUPLED)).protocols == BOTH
    assert stream(served(tensor("IN", "FP16", 1), **DECOUPLED)).protocols == (Protocol.GRPC,)


TALKS = {
    "both controls": ([QUERY, SAMPLING, STREAM], True),
    "only one": ([QUERY, STREAM], False),
    "the other one": ([QUERY, SAMPLING], False),
    "none": ([QUERY], False),
}


@pytest.mark.parametrize(("inputs", "talks"), TALKS.values(), ids=TALKS)
def test_only_what_takes_both_controls_must_say_something(inputs: list[dict[str, object]], *, talks: bool) -> None:
    asked = stream(served(*inputs, **DECOUPLED))
    silent = Reply(({"TEXT": of_values("TEXT", "BYTES", [""], [1])},))
    assert [flaw.message for flaw in asked.judge(silent)] == [
        "the stream ended after 1 response without any text"
    ] * talks
    assert (asked.compared, asked.streamed) == (Severity.WARNING if talks else None, True)


ECHOES: dict[str, tuple[Served, int]] = {
    "all that it takes": (served(QUERY, SAMPLING, STREAM, ECHO, **DECOUPLED), 4),
    "not decoupled": (served(QUERY, SAMPLING, STREAM, ECHO), 0),
    "no way to repeat the prompt": (served(QUERY, SAMPLING, STREAM, **DECOUPLED), 0),
    "no sampling": (served(QUERY, STREAM, ECHO, **DECOUPLED), 0),
    "another input for the query": (served(tensor("text", "STRING", 1), SAMPLING, STREAM, ECHO, **DECOUPLED), 0),
}


@tabled(("on", "count"), ECHOES.values(), ids=ECHOES)
def test_prompts_are_repeated_at_once_by_what_can(on: Served, count: int) -> None:
    crowds = [*echoes(on, "query")]
    assert [len(crowd.cases) for crowd in crowds] == [count] * bool(count)
    for crowd in crowds:
        assert not crowd.batched
        for number, case in enumerate(crowd.cases):
            sent = {one.name: one.values.item() for one in case.request.inputs}
            assert sent["query"] == f"Which gauge of hall {number} is read first?".encode()
            assert json.loads(sent["sampling_parameters"])["max_tokens"] == 1
            assert (sent["stream"], sent["exclude_input_in_output"], case.streamed) == (False, False, True)


def test_a_repeated_prompt_must_be_ones_own() -> None:
    (crowd,) = echoes(served(QUERY, SAMPLING, STREAM, ECHO, **DECOUPLED), "query")
    first, second, *_ = crowd.cases

    def said(case: Case, *pieces: str) -> list[str]:
        reply = Reply(tuple({"TEXT": of_values("TEXT", "BYTES", [piece], [1])} for piece in pieces), flat=True)
        return [flaw.message for flaw in case.judge(reply)]

    own = "Which gauge of hall 0 is read first?"
    assert said(first, f"Answer: {own[:9]}", f"{own[9:]} The first.") == []
    assert said(second, own) == [
        "told to repeat its prompt, the model answers without 'Which gauge of hall 1 is read first?'"
    ]


def models(**contents: Mapping[str, str | Entry]) -> dict[str, Expected]:
    """Return the models of a repository with these files."""
    tree = {
        f"{model}/{path}": content
        if isinstance(content, Unreadable) or not isinstance(content, str)
        else of_text(content)
        for model, files in contents.items()
        for path, content in files.items()
    }
    return expected.of(read(tree, target()), "r")


STEPS = """platform: "ensemble" {output} ensemble_scheduling {{
step {{ model_name: "e" input_map {{ key: "text" value: "q" }} output_map {{ key: "embedding" value: "v" }} }}
step {{ model_name: "r" {version} input_map {{ key: "embedding" value: "v" }} {maps} }} }}"""
MAPS = " ".join(f'output_map {{ key: "{name}" value: "{name}" }}' for name in ("ids", "passages", "scores"))
RETRIEVES = {"config.pbtxt": "", "1/embeddings.npy": "", "1/passages.jsonl": ""}
EMBEDS = {"config.pbtxt": "", "1/model.py": ""}


def ensemble(version: str = "", maps: str = MAPS, outputs: str = "ids passages scores") -> dict[str, str | Entry]:
    output = " ".join(f'output {{ name: "{name}" }}' for name in outputs.split())
    return {"config.pbtxt": STEPS.format(output=output, version=version, maps=maps)}


PIPELINES: dict[str, tuple[dict[str, str | Entry], tuple[str, bool] | None]] = {
    "the latest": (ensemble(), ("", True)),
    "the latest by number": (ensemble("model_version: -1"), ("", True)),
    "a pinned one": (ensemble("model_version: 3"), ("3", True)),
    "what goes on with what is found": (ensemble(outputs="answer"), ("", False)),
    "what returns a part of it": (ensemble(outputs="ids passages"), ("", False)),
    "what drops a part of it": (ensemble(maps=MAPS.replace("scores", "rest", 2).split("output_map")[0]), ("", False)),
    "what embeds nothing": (
        {"config.pbtxt": 'platform: "ensemble" ensemble_scheduling { step { model_name: "r" } }'}, None,
    ),
}  # fmt: skip


@tabled(("files", "found"), PIPELINES.values(), ids=PIPELINES)
def test_an_ensemble_from_a_query_to_an_index_is_a_pipeline(
    files: dict[str, str | Entry], found: tuple[str, bool] | None
) -> None:
    here = models(e=EMBEDS, r=RETRIEVES, p=files)
    wanted = {} if found is None else {"p": links.Pipeline("q", "e", "r", *found)}
    assert links.pipelines(here) == wanted
    assert links.searching(here) == ["r"]
    assert links.embedding(here, {}) == ({} if found is None else {"e": "r"})


def test_an_ensemble_that_rewrites_its_query_first_is_asked_for_no_passage() -> None:
    first = 'step { model_name: "w" input_map { key: "I" value: "raw" } output_map { key: "O" value: "q" } }'
    config = str(ensemble()["config.pbtxt"]).replace("ensemble_scheduling {", f"ensemble_scheduling {{ {first}", 1)
    here = models(e=EMBEDS, r=RETRIEVES, w=EMBEDS, p={"config.pbtxt": config})
    assert links.pipelines(here) == {}
    assert links.embedding(here, {}) == {"e": "r"}


def test_what_a_stack_says_of_an_embedder_goes_before_what_an_ensemble_says() -> None:
    here = models(e=EMBEDS, r=RETRIEVES, s=RETRIEVES, p=ensemble())
    assert links.embedding(here, {"e": "s", "gone": "r"}) == {"e": "s"}


APART = {
    "both": ('{"prefixes": {"query": "q", "passage": "p"}}', True),
    "one": ('{"prefixes": {"query": "", "passage": "p"}}', True),
    "the same": ('{"prefixes": {"query": "q", "passage": "q"}}', False),
    "none": ("{}", False),
    "no mapping": ('{"prefixes": 3}', False),
    "no JSON": ("{", False),
}


@tabled(("said", "apart"), APART.values(), ids=APART)
def test_the_settings_of_an_embedder_say_whether_it_reads_queries_otherwise(said: str, *, apart: bool) -> None:
    assert links.apart(models(e={"config.pbtxt": "", "1/settings.json": said})["e"]) is apart


def test_a_model_holds_an_index_only_if_every_served_version_does() -> None:
    two = {"config.pbtxt": "version_policy { all { } }", "1/embeddings.npy": "", "1/passages.jsonl": ""}
    assert links.searching(models(r=two)) == ["r"]
    assert links.searching(models(r=two | {"2/embeddings.npy": ""})) == []
    assert links.searching(models(r=two | {"1/passages.jsonl": Unreadable.FIFO})) == []
    assert links.searching(models(r={"config.pbtxt": ""})) == []


def test_a_prompt_step_has_a_template_and_settings() -> None:
    whole = {"config.pbtxt": "", "1/prompt.j2": "", "1/settings.json": ""}
    assert links.prompting(models(p=whole)) == ["p"]
    assert links.prompting(models(p={"config.pbtxt": "", "1/prompt.j2": ""})) == []


COUNTS: dict[str, tuple[str, str, int | None]] = {
    "its config before its settings": ('output { name: "ids" dims: [ 4, 2 ] }', '{"top_k": 5}', 4),
    "any number by its config": ('output { name: "ids" dims: [ -1 ] }', '{"top_k": 5}', 5),
    "another output's dims": ('output { name: "scores" dims: [ 4 ] }', '{"top_k": 5}', 5),
    "one": ('output { name: "ids" dims: [ 1 ] }', "{}", 1),
    "settings of one": ("", '{"top_k": 1}', 1),
    "settings of none": ("", '{"top_k": 0}', None),
    "settings in words": ("", '{"top_k": "5"}', None),
    "settings without it": ("", "{}", None),
}


@tabled(("config", "settings", "count"), COUNTS.values(), ids=COUNTS)
def test_how_many_passages_a_search_finds(config: str, settings: str, count: int | None) -> None:
    here = models(r={"config.pbtxt": config, "1/settings.json": settings})
    assert links.count(here["r"], "1") == count


CONFIG = 'backend: "python" max_batch_size: 2'


def compared(only: set[str] | None = None, **more: Any) -> list[tuple[str, str, str, Outcome]]:  # noqa: ANN401  fields
    """Return how a server with a, version 1 and 2, and b, version 1, compares with a repository of a, b and c."""
    here = models(
        a={"config.pbtxt": CONFIG, "2/model.py": ""}, b={"config.pbtxt": "max_batch_size: x"}, c={"config.pbtxt": ""}
    )
    on = [
        served(name="a", backend="python", max_batch_size=2, output=[], version=version) for version in ("1", "2")
    ] + [served(name="b"), served(name="d", version="5")]
    on = [one for one in on if not only or one.name in only]
    known = Known(Span("r"), here, **more)
    return [(r.model, r.version, r.check, r.outcome) for r in named(known, on, frozenset(only or ()))]


P, F, W, N = Outcome.PASSED, Outcome.FAILED, Outcome.WARNING, Outcome.NOT_CHECKED


def test_versions_configs_and_files_are_compared_with_the_repository() -> None:
    assert compared() == [
        ("a", "1, 2", "versions", F),
        ("b", "1", "versions", F),
        ("c", "none", "versions", F),
        ("d", "5", "versions", W),
        ("a", "2", "config", P),
        ("a", "2", "files", N),
        ("d", "5", "files", N),
    ]


def test_only_the_models_that_were_asked_for_are_compared() -> None:
    assert compared({"d"}) == [("d", "5", "versions", W), ("d", "5", "files", N)]
    assert compared({"a"}) == [("a", "1, 2", "versions", F), ("a", "2", "config", P), ("a", "2", "files", N)]


def test_what_the_server_reads_is_compared_where_it_is_known() -> None:
    reads = models(a={"config.pbtxt": "", "2/model.py": "", "1/model.py": ""})
    assert compared({"a"}, reads=reads, reads_at="there")[-1] == ("a", "2", "files", P)
    assert compared({"a"}, reads={}, reads_at="there")[-1] == ("a", "2", "files", F)


def test_without_a_repository_nothing_is_compared_and_each_version_says_so() -> None:
    on = [served(name="a"), served(name="a", version="2")]
    results = [*named(Known(), on, frozenset())]
    assert [(r.model, r.version, r.check, r.outcome) for r in results] == [
        ("a", "1", "files", N),
        ("a", "2", "files", N),
    ]
    assert "nothing to compare with" in results[0].unchecked


def test_cases_of_a_stack_replace_made_up_values_and_those_for_other_models_wait() -> None:
    places = {"": Span("s", 1), "model": Span("s", 2)}
    own = Smoke(model="m", inputs={"IN": 1}, expect={"OUT": Expectation(not_empty=True)}, places=places)
    gone = Smoke(model="gone", inputs={}, expect={}, places=places)
    on = served(tensor("IN", "INT64", 1))
    known = Known(declared=[gone, own])
    assert [(type(one), one.check) for one in cases(known, [on]) if isinstance(one, Case | Result)] == [
        (Case, Check.DECLARED),
        (Result, Check.DECLARED),
    ]
    (case,) = cases(known, [on], frozenset({"m"}))
    assert isinstance(case, Case)
    assert case.what == "2"
    (asked,) = cases(Known(), [on])
    assert isinstance(asked, Case)
    assert (asked.check, told(asked.request.inputs)) == (Check.ANSWER, [("IN", "INT64", (1,), [1])])


def test_what_cannot_be_made_up_is_told() -> None:
    (result,) = cases(Known(), [served(tensor("IN", "FP8", 1))])
    assert isinstance(result, Result)
    assert [(d.rule, d.severity, d.message) for d in result.diagnostics] == [
        ("smoke-answer", "error", 'm cannot be tested: the protocol does not have the data type "FP8"')
    ]


def test_a_decoupled_model_is_tested_as_a_stream_and_asked_to_repeat_its_prompts() -> None:
    text = tensor("text_input", "STRING", 1)
    asked = [*cases(Known(parts=PARTS), [served(text, SAMPLING, STREAM, ECHO, **DECOUPLED)])]
    assert [type(one) for one in asked] == [Case, Crowd]
    assert isinstance(asked[0], Case)
    assert (asked[0].check, asked[0].streamed) == (Check.STREAM, True)


OURS = """backend: "python"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }
instance_group { kind: KIND_AUTO count: 2 }
dynamic_batching { }
optimization { graph { level: 1 } }
"""
THEIRS: dict[str, Any] = {
    "name": "m",
    "backend": "python",
    "max_batch_size": 8,
    "input": [tensor("IN", "FP32", 2)],
    "output": [tensor("OUT", "FP32", 2)],
    "instance_group": [{"kind": "KIND_GPU", "count": 2}],
    "dynamic_batching": {},
    "optimization": {"graph": {"level": 1}},
}
DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "the core's default batch": ({"dynamic_batching": {"preferred_batch_size": [8]}}, ""),
    "another default batch": (
        {"dynamic_batching": {"preferred_batch_size": [4]}},
        "dynamic_batching.preferred_batch_size: the repository says nothing, but the server serves [4]",
    ),
    "a delay": (
        {"dynamic_batching": {"max_queue_delay_microseconds": 5}},
        "dynamic_batching.max_queue_delay_microseconds: the repository says nothing, but the server serves 5",
    ),
    "what the core adds to optimization": (
        {"optimization": {"graph": {"level": 1}, "input_pinned_memory": {"enable": True}}}, "",
    ),
    "another level": (
        {"optimization": {"graph": {"level": 2}}},
        "optimization.graph.level: the repository says 1, but the server serves 2",
    ),
    "a missing input": ({"input": []}, "the repository has the input IN, which the server does not serve"),
    "an additional output": (
        {"output": [tensor("MORE", "FP32", 2), tensor("OUT", "FP32", 2)]},
        "the server serves the output MORE, which the repository does not have",
    ),
    "what vLLM's backend adds": (
        {"backend": "vllm", "output": [*THEIRS["output"], tensor("MORE", "FP32", 2)]}, "backend: ",
    ),
    "another type": (
        {"output": [tensor("OUT", "FP16", 2)]},
        "output OUT.data_type: the repository says TYPE_FP32, but the server serves TYPE_FP16",
    ),
    "instances of more kinds": (
        {"instance_group": [{"kind": "KIND_CPU", "count": 2}, {"kind": "KIND_GPU", "count": 1}]},
        "instance_group: the repository says a list of 1, but the server serves a list of 2",
    ),
    "instances named by the core": (
        {"instance_group": [{"kind": "KIND_CPU", "count": 2, "name": "m_0", "gpus": [0]}]}, "",
    ),
    "another count": (
        {"instance_group": [{"kind": "KIND_CPU", "count": 3}]},
        "instance_group[0].count: the repository says 2, but the server serves 3",
    ),
    "a platform": ({"platform": "x"}, ""),
    "a runtime": ({"runtime": "x"}, ""),
    "the name of its file": ({"default_model_filename": "model.py"}, ""),
    "another policy": ({"version_policy": {"all": {}}}, ""),
    "a decoupled policy": ({"model_transaction_policy": {"decoupled": True}}, ""),
    "a response cache": (
        {"response_cache": {"enable": True}},
        "response_cache.enable: the repository says nothing, but the server serves True",
    ),
    "parameters": ({"parameters": {"a": {"string_value": "b"}}}, "parameters.a.string_value: the repository says not"),
    "warm-up of nothing": ({"model_warmup": []}, ""),
    "an enum's first name": ({"metric_tags": {}, "optimization": THEIRS["optimization"]}, ""),
}  # fmt: skip


@tabled(("change", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_only_what_the_core_does_not_fill_in_is_drift(change: dict[str, Any], message: str) -> None:
    here = models(m={"config.pbtxt": OURS, "1/model.py": ""})["m"]
    result = drift.config(here, of_config(THEIRS | change, "1", AT))
    assert [d.message.startswith(f"m: {message}") for d in result.diagnostics] == [True] * bool(message)
    assert {(d.rule, d.severity, d.at.path) for d in result.diagnostics} <= {
        ("smoke-config", "error", "r/m/config.pbtxt")
    }


OLDEST = "max_batch_size: 8 sequence_batching { oldest { max_candidate_sequences: 4 } }"


@pytest.mark.parametrize(("size", "same"), [(8, True), (4, False)], ids=["the default", "another"])
def test_the_oldest_sequences_have_a_default_batch_too(size: int, *, same: bool) -> None:
    here = models(m={"config.pbtxt": OLDEST, "1/model.py": ""})["m"]
    oldest = {"max_candidate_sequences": 4, "preferred_batch_size": [size]}
    there = {"name": "m", "max_batch_size": 8, "sequence_batching": {"oldest": oldest}}
    assert (not drift.config(here, of_config(there, "1", AT)).diagnostics) == same


@pytest.mark.parametrize(
    ("there", "same"),
    [(0.1, True), (0.10000000149011612, True), (0.1001, False)],
    ids=["as JSON", "as a float", "more"],
)
def test_numbers_are_compared_as_floats_hold_them(there: float, *, same: bool) -> None:
    text = "sequence_batching { direct { minimum_slot_utilization: 0.1 } }"
    here = models(m={"config.pbtxt": text, "1/model.py": ""})["m"]
    batching = {"direct": {"minimum_slot_utilization": there}}
    assert (
        not drift.config(here, of_config({"name": "m", "sequence_batching": batching}, "1", AT)).diagnostics
    ) == same


def test_a_long_value_is_shown_shortened() -> None:
    here = models(m={"config.pbtxt": f'parameters {{ key: "a" value {{ string_value: "{"x" * 81}" }} }}'})["m"]
    (said,) = drift.config(here, of_config({"name": "m"}, "1", AT)).diagnostics
    assert (
        said.message == f"m: parameters.a.string_value: the repository says {'x' * 80}…, but the server serves nothing"
    )


VERSIONS: dict[str, tuple[str, list[str], str]] = {
    "the same": ("1,2", ["2", "1"], ""),
    "as numbers": ("2,10", ["10", "2"], ""),
    "one too few": ("1,2", ["1"], "the server serves version 1, but the repository selects versions 1, 2"),
    "one too many": ("2", ["10", "2"], "the server serves versions 2, 10, but the repository selects version 2"),
    "another": ("2", ["1"], "the server serves version 1, but the repository selects version 2"),
    "none": ("2", [], "the server does not serve this model, but the repository has it"),
}


@tabled(("ours", "theirs", "message"), VERSIONS.values(), ids=VERSIONS)
def test_exactly_the_versions_that_the_repository_selects_must_serve(
    ours: str, theirs: list[str], message: str
) -> None:
    files = {f"{number}/model.py": "" for number in ours.split(",")}
    here = models(m={"config.pbtxt": "version_policy { all { } }"} | files)
    (result,) = drift.versions(here, {"m": theirs}, Span("s"))
    assert [(d.rule, d.severity, d.message) for d in result.diagnostics] == [
        ("smoke-versions", "error", f"m: {message}")
    ] * bool(message)
    assert result.version == (", ".join(sorted(theirs, key=int)) or "none")


def test_a_repository_names_no_version_where_it_has_none() -> None:
    (result,) = drift.versions(models(m={"config.pbtxt": ""}), {"m": ["1"]}, Span("s"))
    assert [d.message for d in result.diagnostics] == [
        "m: the server serves version 1, but the repository selects no version"
    ]
