"""Faults of a stack file as a whole: every place and rule, the next step, and what is no fault at all."""

from __future__ import annotations

import pytest

from tests.tabled import tabled
from tests.test_spec import GOOD, changed, read, said
from tests.test_stack_values import faults
from tritonrepo import spec
from tritonrepo.diagnostics import Stop
from tritonrepo.parts import PARTS
from tritonrepo.parts.sampling import SAMPLING
from tritonrepo.spec.load import load
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.nodes import parse


def search(name: str) -> str:
    """Return a stack whose retriever has this name."""
    return f"""\
name: s
models:
  e: {{role: embedder, source: ./w}}
  "{name}": {{role: retriever, index: ./i, documents: ./d, embed_with: e}}
"""


NAMES = ["r", "R", "9r", "r.b", "r-b", "r_b", "r" * 255, "tritonrepo.json.r", "tritonrepo"]


@tabled("name", NAMES, ids=lambda name: name[:20])
def test_letters_digits_and_some_marks_are_a_name(name: str) -> None:
    assert read(search(name)).models.keys() == {"e", name}


@pytest.mark.parametrize(("length", "fits"), [(249, True), (250, False)])
def test_a_name_is_as_long_as_its_longest_model_allows(length: int, fits: bool) -> None:  # noqa: FBT001
    text = f"name: s\nmodels:\n  {'e' * length}: {{role: embedder, source: ./w}}\n"
    if fits:
        assert len(read(text).models) == 1
    else:
        assert "has 256 characters, but a directory name can have at most 255" in said(text)


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


@tabled(("index", "documents", "embedder", "count"), INDEXES.values(), ids=INDEXES)
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


def test_every_wrong_thing_of_a_generator_is_told() -> None:
    text = changed("hf://o/m@abc, local: ./m.gguf", "./m, local: hf://a/b, tokenizer: hf://a/b")
    text = text.replace("max_model_len: 512, dtype: auto", "max_model_len: 0, model: x, revision: y")
    assert said(text).count("fatal:") == 4


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
    assert found == [("a.yaml:11:3", "stack-meaning")]


OUTPUTS = {
    "of a search": ("[e, r], outputs: [answer]", "ids, metadata, passages and scores"),
    "named twice": ("[e, r], outputs: [answer, answer]", "ids, metadata, passages and scores"),
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


@tabled(("name", "meant"), MISSPELT.items(), ids=MISSPELT)
def test_a_sampling_parameter_is_refused_only_if_it_is_surely_misspelt(name: str, meant: str | None) -> None:
    text = changed("role: generator,", f"role: generator, sampling: {{{name}: 1}},")
    if meant is None:
        assert len(read(text).models) == 3
    else:
        assert f'unknown sampling parameter "{name}"' in said(text)
        assert f'Did you mean "{meant}"?' in said(text)


@pytest.mark.parametrize("key", ["dsn", "kind", "warmup", "ports"])
def test_keys_of_a_later_version_are_not_called_unknown(key: str) -> None:
    assert f'key "{key}" is not supported here yet' in said(changed("role: embedder", f"role: embedder\n    {key}: x"))


EXPECTED = {
    "a value": "not_empty: true",
    "a flag that says no": "not_empty: false",
    "a string in it": "contains: x",
    "an empty string in it": "contains: ''",
    "its first value": "first: x",
    "all its values": "equals: [1, x]",
    "a number": "close: 0",
    "numbers": "close: [1, 2.5, -3]",
    "a tolerance": "close: 1, within: 0.5",
    "no tolerance at all": "close: 1, within: 0",
    "several things": "not_empty: true, contains: x",
}


@tabled("words", EXPECTED.values(), ids=EXPECTED)
def test_an_expectation_says_something_that_can_be_compared(words: str) -> None:
    text = f"{GOOD}smoke: [{{model: e, inputs: {{}}, expect: {{o: {{{words}}}}}}}]\n"
    assert read(text).smoke[0].expect.keys() == {"o"}


@tabled("model", ["e", "e_model", "r", "g", "g_prompt", "p"])
def test_each_model_that_is_built_and_each_pipeline_can_be_asked(model: str) -> None:
    assert (
        read(f"{GOOD}smoke: [{{model: {model}, inputs: {{}}, expect: {{o: {{first: x}}}}}}]\n").smoke[0].model == model
    )


@pytest.mark.parametrize("model", ["r_model", "p_prompt", "q", ""])
def test_no_other_model_can_be_asked(model: str) -> None:
    text = f"{GOOD}smoke: [{{model: '{model}', inputs: {{}}, expect: {{o: {{first: x}}}}}}]\n"
    assert faults(text) == [("a.yaml:12:17", "stack-meaning")]
    assert f'"{model}" is not a model that this stack builds' in said(text)
