"""Faults of a stack file as a whole: every place and rule, the next step, and what is no fault at all."""

from __future__ import annotations

import pytest

from tests.test_spec import BAD, GOOD, changed, read, said
from tests.test_stack_values import faults
from tritonrepo import spec
from tritonrepo.diagnostics import Diagnostic, Severity, Stop
from tritonrepo.parts import PARTS
from tritonrepo.parts.sampling import SAMPLING
from tritonrepo.spec.load import load
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.nodes import parse

WHERE = {
    "empty": "syntax",
    "only a comment": "syntax",
    "a list": "1:1 syntax",
    "a tab": "3:1 syntax",
    "an open quote": "2:1 syntax",
    "a key twice": "2:1 syntax",
    "a key that is a list": "1:3 syntax",
    "a tag": "1:7 syntax",
    "not UTF-8": "2 syntax",
    "a NUL": "1:8 syntax",
    "an alias in itself": "1:4 syntax",
    "too large": "syntax",
    "a key misspelt": "5:5 schema, 6:5 schema",
    "the right key is offered": "5:5 schema, 6:5 schema",
    "a key missing": "5:5 schema",
    "no role": "5:5 schema",
    "an unknown role": "5:11 schema",
    "a role not yet there": "5:11 schema",
    "a key not yet there": "12:1 schema",
    "an engine not yet there": "9:32 schema",
    "a form not yet there": "11:31 schema",
    "a number that is none": "2:47 schema",
    "a number too small": "2:47 schema",
    "a time without unit": "7:33 schema",
    "a list that is none": "2:34 schema",
    "a mapping that is none": "2:9 schema",
    "a source of no form": "6:13 schema",
    "a source not yet there": "6:13 schema",
    "a URL without a digest": "6:13 schema",
    "an unknown release": "2:19 meaning",
    "an unknown image": "2:34 meaning",
    "a name with a slash": "8:8 meaning, 11:14 meaning",
    "names that collide": "8:12 meaning, 11:14 meaning",
    "an embedder that is none": "8:72 meaning, 11:14 meaning",
    "a chain of strangers": "11:14 meaning",
    "a chain of itself": "11:14 meaning",
    "chains of each other": "11:14 meaning, 12:14 meaning",
    "a chain of a pipeline too many": "12:14 meaning, 12:14 meaning",
    "a generator in a pipeline of a pipeline": "12:14 meaning",
    "a chain in disorder": "11:14 meaning",
    "an answer without generator": "11:31 meaning",
    "a generator in two pipelines": "12:14 meaning",
    "a path in a model for a server": "9:32 meaning",
    "a stand-in from the hub": "9:53 meaning",
    "a generator from disk": "9:32 meaning",
    "model among the args": "9:69 meaning",
    "a variable that is not set": "6:13 variable",
    "a variable with its reason": "6:13 variable",
    "no model": "2:9 meaning",
    "no name": "1:7 meaning",
    "no image": "2:34 meaning",
    "a model in the record's place": "8:20 meaning, 11:14 meaning",
    "a name that no directory can have": "8:261 meaning, 11:14 meaning",
    "a name too long with its ending": "5:5 meaning, 8:72 meaning, 11:14 meaning",
    "names that differ in case": "8:12 meaning, 11:14 meaning",
    "half a character": "1:7 syntax",
    "a NUL in a path": "6:13 syntax",
    "a NUL in a key": "8:3 syntax",
    "a number without end": "2:47 schema",
    "a number that JSON has not": "9:93 schema",
    "a time without end": "7:33 schema",
    "an index over another": "9:31 meaning",
    "a prompt without generator": "11:30 meaning",
    "a window that is text": "9:69 meaning",
    "a window of nothing": "9:69 meaning",
    "an answer of nothing": "9:34 meaning",
    "a sampling parameter misspelt": "9:34 meaning",
}


SLOW = {"an alias bomb", "nested brackets without end"}


def test_each_wrong_stack_has_its_places_above() -> None:
    assert WHERE.keys() | SLOW == BAD.keys()


def told(text: str | bytes) -> tuple[Diagnostic, ...]:
    with pytest.raises(Stop) as stop:
        spec.read([("a.yaml", text if isinstance(text, bytes) else text.encode())], {}, PARTS)
    return stop.value.diagnostics


@pytest.mark.parametrize(("text", "where"), [(BAD[case][0], where) for case, where in WHERE.items()], ids=WHERE)
def test_a_fault_is_told_at_its_place_by_its_rule_and_no_other_is_told(text: str | bytes, where: str) -> None:
    assert {each.severity for each in told(text)} == {Severity.FATAL}
    places = [f"{str(each.at)[7:]} {each.rule.removeprefix('stack-')}".strip() for each in told(text)]
    assert ", ".join(places) == where


HINTS = {
    "a list that is none": "Write `[py3]`.",
    "no role": "embedder, generator, model or retriever",
    "an unknown role": 'Did you mean "embedder"?',
    "a key not yet there": "ensembles, extends, models, name, smoke or target",
    "an unknown release": "24.01 to 26.11",
    "an unknown image": 'Did you mean "py3"?',
    "a name with a slash": "tritonrepo.json is reserved",
    "a chain of strangers": "Use one of: e, g, r.",
    "an embedder that is none": "Use g before it in the chain.",
    "a chain in disorder": "embedder → retriever or embedder → retriever → generator",
    "a chain of itself": '"p"',
    "an answer without generator": "ids, passages and scores",
    "model among the args": "Remove model",
    "a generator from disk": "`weights: {path: /PATH}`",
    "a stand-in from the hub": "`hf://o/m/FILE.gguf`",
    "a variable that is not set": "`${W:-default}`",
    "a key misspelt": 'Did you mean "source"?',
    "a key twice": "on line 1",
    "a prompt without generator": "Remove prompt, or add a generator",
}


@pytest.mark.parametrize(("text", "step"), [(BAD[case][0], step) for case, step in HINTS.items()], ids=HINTS)
def test_the_next_step_names_what_to_write(text: str | bytes, step: str) -> None:
    assert any(step in each.hint for each in told(text))


def search(name: str) -> str:
    """Return a stack whose retriever has this name."""
    return f"""\
name: s
models:
  e: {{role: embedder, source: ./w}}
  "{name}": {{role: retriever, index: ./i, documents: ./d, embed_with: e}}
"""


NAMES = ["r", "R", "9r", "r.b", "r-b", "r_b", "r" * 255, "tritonrepo.json.r", "tritonrepo"]
NO_NAMES = ["", ".r", "-r", "_r", "r/b", "r b", "ré", "r:b", "r\n", "tritonrepo.json"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:20])
def test_letters_digits_and_some_marks_are_a_name(name: str) -> None:
    assert read(search(name)).models.keys() == {"e", name}


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_no_directory_or_object_should_be_called_is_no_name(name: str) -> None:
    text = search("r").replace('"r"', '"r\\n"' if name == "r\n" else f'"{name}"')
    assert [rule for _, rule in faults(text)] == ["stack-meaning"]


@pytest.mark.parametrize(("length", "fits"), [(249, True), (250, False)])
def test_a_name_is_as_long_as_its_longest_model_allows(length: int, fits: bool) -> None:  # noqa: FBT001
    text = f"name: s\nmodels:\n  {'e' * length}: {{role: embedder, source: ./w}}\n"
    if fits:
        assert len(read(text).models) == 1
    else:
        assert "has 256 characters, but a directory name can have at most 255" in said(text)


COLLIDING = {
    "a pipeline and a model": ("p: {", "e: {", '"e" needs the name "e", which "e" already uses', False),
    "a pipeline and a step": ("p: {", "g_prompt: {", '"g_prompt" needs the name "g_prompt", which "g" already', False),
    "a pipeline and a graph": ("p: {", "e_model: {", '"e_model" needs the name "e_model", which "e" already', False),
    "a pipeline and a model but for case": ("p: {", "R: {", '"R" needs the name "R", which "r" already uses', True),
}


@pytest.mark.parametrize(("old", "new", "message", "cased"), COLLIDING.values(), ids=COLLIDING)
def test_no_two_models_have_one_directory(old: str, new: str, message: str, cased: bool) -> None:  # noqa: FBT001
    found = said(changed(f"  {old}", f"  {new}"))
    assert message in found
    assert ("Some file systems" in found) == cased


def test_images_of_a_release_that_is_not_known_are_not_judged() -> None:
    assert faults(changed("24.10, images: [py3]", "24.13, images: [nothing]")) == [("a.yaml:2:19", "stack-meaning")]
    assert read(changed("24.10, images: [py3]", "'26.11', images: [anything]")).target.images == ("anything",)


def test_each_unknown_image_is_told() -> None:
    found = said(changed("[py3]", "[py3, py4, py5]"))
    assert 'no image "py4"' in found
    assert 'no image "py5"' in found
    assert 'no image "py3"' not in found


TWO = "  r: {{role: retriever, index: {}, documents: {}, embed_with: {}}}\n  r2: "
OTHER = "  f: {role: embedder, source: ./other}\n"
INDEXES = {
    "the same index twice": ("./i", "./d/*.jsonl", "e", 0),
    "other documents": ("./i", "./other", "e", 1),
    "another embedder": ("./i", "./d/*.jsonl", "f", 1),
    "another directory": ("./j", "./other", "f", 0),
    "the same directory by another way": ("x/../i/", "./other", "e", 1),
}


@pytest.mark.parametrize(("index", "documents", "embedder", "count"), INDEXES.values(), ids=INDEXES)
def test_an_index_has_a_directory_of_its_own(index: str, documents: str, embedder: str, count: int) -> None:
    text = changed("  r: ", OTHER + TWO.format(index, documents, embedder)).replace("[e, r, g]", "[e, r2, g]")
    if count:
        assert '"r2" and "r" use the same directory' in said(text)
    else:
        assert len(read(text).models) == 5


def test_an_index_counts_from_the_file_that_names_it() -> None:
    def loaded(second: str) -> set[str]:
        later = "models: {r2: {role: retriever, index: ./i, documents: ./o, embed_with: e}}"
        return {*spec.read([("a/s.yaml", GOOD.encode()), (second, later.encode())], {}, PARTS).models}

    assert loaded("b/s.yaml") == {"e", "r", "g", "r2"}
    with pytest.raises(Stop, match='"r2" and "r" use the same directory'):
        loaded("a/t.yaml")


FED = {
    "its own embedder": ("[e, r, g]", None),
    "another embedder": ("[f, r, g]", '"f" cannot feed "r", whose index is built with "e"'),
}


@pytest.mark.parametrize(("chain", "message"), FED.values(), ids=FED)
def test_a_search_is_fed_by_the_embedder_of_its_index(chain: str, message: str | None) -> None:
    text = changed("  r: ", OTHER + "  r: ").replace("[e, r, g]", chain)
    if message is None:
        assert read(text).ensembles["p"].chain == ("e", "r", "g")
    else:
        found = said(text)
        assert found.count("fatal:") == 1
        assert found.startswith(f"a.yaml:12:14: fatal: {message} [stack-meaning]\n")
        assert "Use e before it" in found


@pytest.mark.parametrize("name", ["model", "revision"])
def test_engine_arguments_do_not_name_the_model(name: str) -> None:
    found = said(changed("dtype: auto", f"{name}: x"))
    assert f'args cannot set "{name}"' in found
    assert f"Remove {name} from args." in found
    assert found.count("fatal:") == 1


def test_every_wrong_thing_of_a_generator_is_told() -> None:
    text = changed("hf://o/m@abc, local: ./m.gguf", "./m, local: hf://a/b, tokenizer: hf://a/b")
    text = text.replace("max_model_len: 512, dtype: auto", "max_model_len: 0, model: x, revision: y")
    assert said(text).count("fatal:") == 5


CIRCLES = {
    "of three": ("  p: {chain: [q]}\n  q: {chain: [r2]}\n  r2: {chain: [p]}\n", ["11", "12", "13"]),
    "below a pipeline that is in none": ("  p: {chain: [q]}\n  q: {chain: [q]}\n", ["12"]),
    "of one, in a chain with others": ("  p: {chain: [e, r, p]}\n", ["11"]),
}


@pytest.mark.parametrize(("ensembles", "lines"), CIRCLES.values(), ids=CIRCLES)
def test_only_pipelines_in_a_cycle_are_told_of_it(ensembles: str, lines: list[str]) -> None:
    found = faults(changed("  p: {chain: [e, r, g]}\n", ensembles))
    assert [place.split(":")[1] for place, _ in found] == lines


def test_a_chain_is_kept_to_a_hundred_members() -> None:
    """Each doubles the one before it, and forty lines would fill the memory."""
    doubled = "".join(f"  p{n + 1}: {{chain: [p{n}, p{n}]}}\n" for n in range(1, 40))
    text = changed("  p: {chain: [e, r, g]}\n", f"  p1: {{chain: [e, r]}}\n{doubled}")
    chains = flat(load(parse(text.encode(), "a"), PARTS))
    assert [len(chains[f"p{n}"]) for n in (1, 2, 6, 7, 40)] == [2, 4, 64, 100, 100]
    assert chains["p6"] == ("e", "r") * 32


def test_a_model_is_taken_before_a_pipeline_of_its_name() -> None:
    found = faults(changed("  p: {chain: [e, r, g]}\n", "  e: {chain: [e, r]}\n"))
    assert found == [("a.yaml:11:6", "stack-meaning")]


OUTPUTS = {
    "of a search": ("[e, r], outputs: [answer]", "ids, passages and scores"),
    "named twice": ("[e, r], outputs: [answer, answer]", "ids, passages and scores"),
}


@pytest.mark.parametrize(("chain", "has"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_that_a_pipeline_does_not_have_is_told_once(chain: str, has: str) -> None:
    found = said(changed("[e, r, g]", chain))
    assert found.count("fatal:") == 1
    assert has in found
    assert read(changed("[e, r, g]", "[e, r, g], outputs: [answer]")).ensembles["p"].outputs == ("answer",)


DOCUMENTED = """n presence_penalty frequency_penalty repetition_penalty temperature top_p top_k min_p seed stop
stop_token_ids bad_words include_stop_str_in_output ignore_eos max_tokens min_tokens logprobs prompt_logprobs detokenize
skip_special_tokens spaces_between_special_tokens truncate_prompt_tokens logit_bias allowed_token_ids structured_outputs
guided_decoding extra_args lora_name"""


def test_sampling_parameters_are_those_of_vllm() -> None:
    """The fields of vLLM's SamplingParams that a request can set, and the backend's own."""
    assert {*DOCUMENTED.split()} == SAMPLING


MISSPELT = {
    "temprature": "temperature",
    "max_token": "max_tokens",
    "topp": "top_p",
    "penalty": None,
    "new_thing": None,
    "top_p": None,
}


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items(), ids=MISSPELT)
def test_a_sampling_parameter_is_refused_only_if_it_is_surely_misspelt(name: str, meant: str | None) -> None:
    text = changed("role: generator,", f"role: generator, sampling: {{{name}: 1}},")
    if meant is None:
        assert len(read(text).models) == 3
    else:
        assert f'unknown sampling parameter "{name}"' in said(text)
        assert f'Did you mean "{meant}"?' in said(text)


NOT_YET = {
    "weights in the repository": (
        changed("role: generator,", "role: generator, weights: repository,"),
        "9:33",
        'weights cannot be "repository": vLLM reads "model" of model.json as it is',
    ),
    "weights of another name": (
        changed("role: generator,", "role: generator, weights: disk,"),
        "9:33",
        '"weights" cannot be "disk"',
    ),
    "weights in a list": (
        changed("role: generator,", "role: generator, weights: [hub],"),
        "9:33",
        '"weights" must be a single value, not a list',
    ),
    "a name in a mapping": (changed("name: s", "name: {a: b}"), "1:7", '"name" must be a single value, not a mapping'),
}


@pytest.mark.parametrize(("text", "place", "message"), NOT_YET.values(), ids=NOT_YET)
def test_what_a_later_version_may_have_is_told_as_such(text: str, place: str, message: str) -> None:
    assert faults(text) == [(f"a.yaml:{place}", "stack-schema")]
    assert message in said(text)


def test_an_output_of_a_later_version_is_told_as_such() -> None:
    text = changed("[e, r, g]", "[e, r, g], outputs: [answer, sources]")
    assert faults(text) == [("a.yaml:11:34", "stack-meaning")]
    assert 'the output "sources" is not supported yet' in said(text)


@pytest.mark.parametrize("key", ["dsn", "kind", "warmup", "ports"])
def test_keys_of_a_later_version_are_not_called_unknown(key: str) -> None:
    assert f'key "{key}" is not supported here yet' in said(changed("role: embedder", f"role: embedder\n    {key}: x"))


EXPECTED = {
    "a value": ("not_empty: true", ""),
    "a flag that says no": ("not_empty: false", ""),
    "a string in it": ("contains: x", ""),
    "an empty string in it": ("contains: ''", ""),
    "its first value": ("first: x", ""),
    "all its values": ("equals: [1, x]", ""),
    "a number": ("close: 0", ""),
    "numbers": ("close: [1, 2.5, -3]", ""),
    "a tolerance": ("close: 1, within: 0.5", ""),
    "no tolerance at all": ("close: 1, within: 0", ""),
    "several things": ("not_empty: true, contains: x", ""),
    "nothing": ("", '"expect" says nothing about output "o"'),
    "a tolerance of nothing": ("within: 0.5", '"expect" says nothing about output "o"'),
    "a tolerance without a number": ("first: x, within: 0.5", '"within" is set without "close"'),
    "a string that is close": ("close: x", "must be a number or a list of numbers, not 'x'"),
    "a flag that is close": ("close: true", "must be a number or a list of numbers, not True"),
    "a list with a string": ("close: [1, x]", "must be a number or a list of numbers, not [1, 'x']"),
    "a list in a list": ("close: [[1]]", "must be a number or a list of numbers, not [[1]]"),
    "a tolerance that is a string": ("close: 1, within: x", "must be a number, not 'x'"),
    "a tolerance that is a list": ("close: 1, within: [1]", "must be a number, not [1]"),
    "a tolerance that is a flag": ("close: 1, within: true", "must be a number, not True"),
}


@pytest.mark.parametrize(("words", "message"), EXPECTED.values(), ids=EXPECTED)
def test_an_expectation_says_something_that_can_be_compared(words: str, message: str) -> None:
    text = f"{GOOD}smoke: [{{model: e, inputs: {{}}, expect: {{o: {{{words}}}}}}}]\n"
    if message:
        assert message in said(text)
        assert {(place.split(":")[1], rule) for place, rule in faults(text)} == {("12", "stack-meaning")}
    else:
        assert read(text).smoke[0].expect.keys() == {"o"}


@pytest.mark.parametrize("model", ["e", "e_model", "r", "g", "g_prompt", "p"])
def test_each_model_that_is_built_and_each_pipeline_can_be_asked(model: str) -> None:
    assert (
        read(f"{GOOD}smoke: [{{model: {model}, inputs: {{}}, expect: {{o: {{first: x}}}}}}]\n").smoke[0].model == model
    )


@pytest.mark.parametrize("model", ["r_model", "p_prompt", "q", ""])
def test_no_other_model_can_be_asked(model: str) -> None:
    text = f"{GOOD}smoke: [{{model: '{model}', inputs: {{}}, expect: {{o: {{first: x}}}}}}]\n"
    assert faults(text) == [("a.yaml:12:17", "stack-meaning")]
    assert f'"{model}" is not a model that this stack builds' in said(text)
