"""Prompts: from a file, from passages, from a trace and from a seed, and what of them repeats."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tabled import tabled
from tritonrepo.bench.load import Prompt
from tritonrepo.bench.prompts import Sent, Source, listed, reuse
from tritonrepo.bench.prompts_file import questions, trace
from tritonrepo.bench.prompts_made import WORDS, Making
from tritonrepo.bench.prompts_passages import Kind, asked, cut
from tritonrepo.bench.target import Protocol, Target
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.bench_prompts import PromptOptions, counter, sources
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.endpoint import Endpoint

PASSAGES = [
    "Triton serves models from a model repository. Each model has numbered versions.",
    "# Batching\n\nThe dynamic batcher joins requests. It waits for a stated time.",
    "short",
]


def beginning(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def slow_reuse(texts: list[str], first: int) -> float:
    """Return the share by comparing each with all before it."""
    common = [max((beginning(text, each) for each in texts[:at]), default=0) for at, text in enumerate(texts)]
    total = sum(map(len, texts[first:]))
    return sum(common[first:]) / total if total else 0.0


def test_what_repeats_is_what_comparing_all_with_all_says() -> None:
    for seed in range(500):
        chance = random.Random(seed)
        texts = ["".join(chance.choices("ab", k=chance.randrange(8))) for _ in range(chance.randrange(14))]
        first = chance.randrange(len(texts) + 1)
        assert reuse(texts, first) == pytest.approx(slow_reuse(texts, first)), (texts, first)


@pytest.mark.parametrize(
    ("texts", "share"),
    [(["abcd", "abcd"], 0.5), (["abcd", "abxy"], 0.25), (["abcd", "x"], 0.0), (["ab", "abcd"], 1 / 3), ([], 0.0)],
    ids=["the same", "half of it", "nothing", "one begins the other", "none"],
)
def test_what_repeats(texts: list[str], share: float) -> None:
    assert reuse(texts) == pytest.approx(share)


def test_made_prompts_have_the_length_and_the_beginning_that_is_stated() -> None:
    making = Making(200, shared=0.25, seed=7)
    prompts = [making.make(number).text for number in range(50)]
    assert {len(text.split()) for text in prompts} == {200}
    assert len({text.split()[49] for text in prompts}) == 1
    assert len({tuple(text.split()[:52]) for text in prompts}) == 50
    assert reuse(prompts) == pytest.approx(0.25, abs=0.03)
    assert prompts == [making.make(number).text for number in range(50)]
    assert prompts != [Making(200, shared=0.25, seed=8).make(number).text for number in range(50)]


def test_made_prompts_share_nothing_that_a_cache_could_answer() -> None:
    making = Making(500)
    assert reuse([making.make(number).text for number in range(300)]) < 0.01


def test_lengths_of_made_prompts_spread() -> None:
    lengths = [len(Making(200, spread=40).make(number).text.split()) for number in range(500)]
    assert sum(lengths) / 500 == pytest.approx(200, rel=0.05)
    assert min(lengths) < 150
    assert max(lengths) > 250
    short = [len(Making(2, spread=50).make(number).text.split()) for number in range(500)]
    assert min(short) == 1
    assert short.count(1) == pytest.approx(250, abs=40)  # what would be shorter


def test_prompts_of_several_lengths_begin_with_the_same_share_of_the_mean() -> None:
    alone, shared = ([Making(100, 40, share, seed=7).make(n).text.split() for n in range(200)] for share in (0.0, 0.5))
    assert [len(words) for words in shared] == [len(words) for words in alone]
    longest = max(shared, key=len)
    assert min(map(len, shared)) < 50 < len(longest)
    assert all(words[:50] == longest[: min(50, len(words))] for words in shared)
    assert len({tuple(words[50:55]) for words in shared if len(words) > 55}) == sum(len(words) > 55 for words in shared)


def test_another_seed_gives_another_beginning_and_other_ends() -> None:
    one, other = (Making(40, shared=0.5, seed=seed).make(0).text.split() for seed in (7, 8))
    assert one[:20] != other[:20]
    assert one[20:] != other[20:]


def letters(text: str) -> int:
    """Count as a tokenizer that cuts words into pieces of up to three letters."""
    return sum((len(word) + 2) // 3 for word in text.split())


@pytest.mark.parametrize("tokens", [1, 2, 3, 50, 257])
def test_with_a_tokenizer_made_prompts_have_exactly_so_many_tokens(tokens: int) -> None:
    making = Making(tokens, shared=0.5, count=letters)
    assert {letters(making.make(number).text) for number in range(20)} == {tokens}


def test_made_prompts_for_a_reranker_are_a_query_with_documents() -> None:
    prompt = Making(30, documents=5).make(3)
    assert len(prompt.text.split()) == 16
    assert [len(document.split()) for document in prompt.documents] == [30] * 5


def test_common_words_are_there_once() -> None:
    assert len({*WORDS}) == len(WORDS) > 400


LINES = b"""{"question": "What is a model?", "max_tokens": 5}

{"query": "a", "documents": ["b", "c"]}
{"prompt": "p", "passages": ["d"]}
{"text": " t "}
"""


def test_questions_of_a_file_are_sent_in_turns() -> None:
    source = questions(LINES, "q.jsonl")
    assert source.rows == 4
    assert [source.make(number) for number in range(5)] == [
        Prompt("What is a model?", (), 5),
        Prompt("a", ("b", "c")),
        Prompt("p", ("d",)),
        Prompt(" t "),
        Prompt("What is a model?", (), 5),
    ]


def test_lines_of_text_are_questions_too() -> None:
    source = questions("\ufeffWhat is a model?\r\n\n  And now?\n".encode(), "q.txt")
    assert [source.make(number).text for number in range(2)] == ["What is a model?", "And now?"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "q: fatal: the file has no prompts"),
        (b" \n\n", "q: fatal: the file has no prompts"),
        (b"{}\xff", "q:1: fatal: the file is not UTF-8"),
        (b"a\n\xfe", "q:2: fatal: the file is not UTF-8"),
        (b"{", "q:1:2: fatal: the line is not JSON"),
        (b'{"text": "a"}\nplain', "q:2:1: fatal: the line is not JSON"),
        (b'{"text": "a"}\n[1]', "q:2:1: fatal: the line must be a JSON object"),
        (b'{"texts": "a"}', "q:1:1: fatal: the text is missing: the keys are texts"),
        (b"{}", "q:1:1: fatal: the text is missing: the keys are none"),
        (b'{"text": 5}', 'q:1:1: fatal: "text" must be a text that is not empty'),
        (b'{"text": " "}', 'q:1:1: fatal: "text" must be a text that is not empty'),
        (b'{"text": "a", "documents": "b"}', 'q:1:1: fatal: "documents" must be a list of texts'),
        (b'{"text": "a", "documents": [1]}', 'q:1:1: fatal: "documents" must be a list of texts'),
        (b'{"text": "a", "max_tokens": 0}', '"max_tokens" must be an integer from 1 to 10,000,000, not 0'),
        (b'{"text": "a", "max_tokens": true}', '"max_tokens" must be an integer from 1 to 10,000,000, not true'),
        (b'{"text": "a", "max_tokens": 1.5}', '"max_tokens" must be an integer from 1 to 10,000,000, not 1.5'),
        (b'{"text": "a", "max_tokens": NaN}', '"max_tokens" must be an integer from 1 to 10,000,000, not NaN'),
        (b'{"a":' * 100_000, "q:1:1: fatal: the line is not JSON"),
    ],
)
def test_a_file_of_questions_that_cannot_be_used(content: bytes, says: str) -> None:
    with pytest.raises(Stop) as stopped:
        questions(content, "q")
    assert says in str(stopped.value.diagnostics[0])
    assert stopped.value.diagnostics[0].hint


def test_every_wrong_line_is_named_up_to_a_limit() -> None:
    with pytest.raises(Stop) as stopped:
        questions(b'{"text": ""}\n' * 3 + b'{"text": "good"}\n{"text": 1}\n', "q")
    assert [each.at.line for each in stopped.value.diagnostics] == [1, 2, 3, 5]
    with pytest.raises(Stop) as stopped:
        questions(b'{"text": ""}\n' * 100_000, "q")
    assert len(stopped.value.diagnostics) == 21
    assert stopped.value.diagnostics[-1].message == "more lines are wrong"


def test_a_trace_has_times_in_order_from_its_first() -> None:
    lines = [{"at_s": 12.5, "text": "b"}, {"at_s": 10, "text": "a", "output_length": 4}, {"at_s": 12.5, "text": "c"}]
    source = trace("\n".join(map(json.dumps, lines)).encode(), "t")
    assert source.rows == 3
    assert [source.make(number) for number in range(3)] == [
        Prompt("a", answer_tokens=4, at_s=0.0),
        Prompt("b", at_s=2.5),
        Prompt("c", at_s=2.5),
    ]
    assert source.make(3).at_s is None
    assert source.make(3).text not in {"a", "b", "c"}


def test_a_trace_of_lengths_shares_the_blocks_that_it_says() -> None:
    """The form of Mooncake's traces: milliseconds, and ids of blocks of 512 tokens."""
    lines = [
        {"timestamp": 0, "input_length": 1200, "output_length": 52, "hash_ids": [1, 2, 3]},
        {"timestamp": 500, "input_length": 1100, "output_length": 26, "hash_ids": [1, 2, 4]},
        {"timestamp": 1500, "input_length": 1100, "output_length": 26, "hash_ids": [5, 6, 7]},
        {"timestamp": 1500, "input_length": 700, "output_length": 1},
    ]
    source = trace("\n".join(map(json.dumps, lines)).encode(), "t")
    prompts = [source.make(number) for number in range(4)]
    texts = [prompt.text.split() for prompt in prompts]
    assert [prompt.at_s for prompt in prompts] == [0.0, 0.5, 1.5, 1.5]
    assert [len(words) for words in texts] == [1200, 1100, 1100, 700]
    assert [prompt.answer_tokens for prompt in prompts] == [52, 26, 26, 1]
    assert texts[0][:1024] == texts[1][:1024]
    assert texts[0][1024:1034] != texts[1][1024:1034]
    assert texts[0][:10] != texts[2][:10]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": "a"}', "the time is missing"),
        ('{"at_s": -1, "text": "a"}', '"at_s" must be a number from 0 to 1,000,000,000, not -1'),
        ('{"at_s": "1", "text": "a"}', '"at_s" must be a number from 0 to 1,000,000,000, not "1"'),
        ('{"at_s": Infinity, "text": "a"}', '"at_s" must be a number from 0 to 1,000,000,000, not Infinity'),
        ('{"at_s": 1e400, "text": "a"}', '"at_s" must be a number'),
        ('{"timestamp": 5}', "the text is missing"),
        ('{"timestamp": 5, "input_length": 0}', '"input_length" must be an integer from 1 to 10,000,000, not 0'),
        ('{"timestamp": 5, "input_length": 9, "hash_ids": 3}', '"hash_ids" must be a list of the ids of blocks'),
        ("a line", "the line is not JSON"),
    ],
)
def test_a_trace_that_cannot_be_used(line: str, says: str) -> None:
    with pytest.raises(Stop) as stopped:
        trace(line.encode(), "t")
    assert says in stopped.value.diagnostics[0].message
    assert stopped.value.diagnostics[0].at.line == 1


def test_questions_about_passages_are_each_about_one_sentence() -> None:
    source = asked(PASSAGES, Kind.QUESTION, 0, "stack", 3)
    texts = {source.make(number).text for number in range(source.rows or 0)}
    assert texts == {
        f'"{about}": what do the documents say about this?'
        for about in (
            "Triton serves models from a model repository",
            "Each model has numbered versions",
            "The dynamic batcher joins requests",
            "It waits for a stated time",
            "short",
        )
    }
    again = asked(PASSAGES, Kind.QUESTION, 0, "stack", 3)
    assert [again.make(number) for number in range(5)] == [source.make(number) for number in range(5)]


def test_an_embedder_gets_passages_and_a_reranker_the_right_one_among_others() -> None:
    embedded = asked([*PASSAGES, PASSAGES[0]], Kind.PASSAGE, 0, "stack", 1)
    assert sorted(embedded.make(number).text for number in range(embedded.rows or 0)) == sorted(PASSAGES)
    ranked = asked(PASSAGES, Kind.RANKING, 2, "stack", 1)
    for number in range(ranked.rows or 0):
        prompt = ranked.make(number)
        about = prompt.text.split('"')[1]
        assert len(prompt.documents) == len({*prompt.documents}) == 2
        assert any(about in document for document in prompt.documents)


def test_documents_are_cut_between_paragraphs_or_words() -> None:
    assert [*cut("a b\n\nc\n \nd")] == ["a b c d"]
    long = " ".join(f"w{number}" for number in range(450))
    assert [len(passage.split()) for passage in cut(f"one\n\n{long}\n\nlast")] == [1, 200, 200, 51]
    assert [*cut(" \n\n ")] == []


def target(protocol: Protocol, model: str) -> Target:
    """Return a target that nobody asks."""
    return Target("t", protocol, Endpoint("http://127.0.0.1:1"), model)


def of_stack(tmp_path: Path, options: Callable[[Path], PromptOptions]) -> Callable[[Target], Source]:
    """Return the sources of a stack with an embedder, a reranker, and two documents."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "# Models\n\nTriton serves models from a repository. Versions have numbers."
    )
    (tmp_path / "docs" / "b.txt").write_text("The dynamic batcher joins requests of several clients.")
    stack = tmp_path / "tritonrepo.yaml"
    stack.write_text(
        "name: s\nmodels:\n"
        "  embedder: {role: embedder, source: ./minilm}\n"
        "  ranker: {role: reranker, source: ./ranker}\n"
        "  find: {role: retriever, documents: ./docs, index: ./index, embed_with: embedder}\n"
    )
    return sources(options(stack), Workspace())


def test_a_stack_gives_each_target_what_it_takes(tmp_path: Path) -> None:
    source = of_stack(tmp_path, lambda stack: PromptOptions(stack=stack, documents=None))
    assert "passages from" in source(target(Protocol.GRPC, "embedder")).name
    assert "passages from" in source(target(Protocol.EMBEDDINGS, "any")).name
    assert "questions from" in source(target(Protocol.GENERATE, "rag")).name
    ranking = source(target(Protocol.GRPC, "ranker"))
    assert "rankings from" in ranking.name
    assert len(ranking.make(0).documents) == 2  # there are no more passages


def test_the_passages_of_a_built_index_are_preferred(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "passages.jsonl").write_text('{"id": "1", "text": "from the index"}\n')
    source = of_stack(tmp_path, lambda stack: PromptOptions(stack=stack))
    assert source(target(Protocol.EMBEDDINGS, "any")).make(0).text == "from the index"


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"text": 3}'])
def test_an_index_that_is_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "passages.jsonl").write_text(f'{{"id": "1", "text": "good"}}\n{line}\n')
    with pytest.raises(Stop, match=r"passages\.jsonl:2: fatal: the line is not a passage"):
        of_stack(tmp_path, lambda stack: PromptOptions(stack=stack))


def test_a_stack_without_documents_has_no_prompts(tmp_path: Path) -> None:
    stack = tmp_path / "tritonrepo.yaml"
    stack.write_text("name: s\nmodels:\n  embedder: {role: embedder, source: ./minilm}\n")
    with pytest.raises(Stop, match="the stack has no retriever"):
        sources(PromptOptions(stack=stack), Workspace())


def test_a_tokenizer_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    for content in (b"{}", b"\xff", b""):
        file.write_bytes(content)
        with pytest.raises(Stop, match="the file is not a tokenizer"):
            counter(file)
    with pytest.raises(Stop):
        counter(tmp_path / "none.json")


def test_what_was_sent_is_described_without_the_warm_up() -> None:
    made: list[int] = []

    def make(number: int) -> Prompt:
        made.append(number)
        return Prompt("same" if number < 2 else f"{number}")

    sent = Sent(Source("here", make), ahead=2)
    assert made == [0, 1]
    assert [sent.prompt(number).text for number in range(4)] == ["same", "same", "2", "3"]
    assert made == [0, 1, 2, 3]
    found = sent.described(64, exact=True, warm_up=1)
    assert (found.source, found.different, found.max_tokens, found.exact) == ("here", 3, 64, True)
    assert found.reuse == pytest.approx(4 / 6)
    nothing = sent.described(None, exact=True)
    assert (nothing.max_tokens, nothing.exact) == (None, False)


LIMITS = {
    "the run's own": ([None, None], (64, True)),
    "the largest": ([None, 200, 8], (200, False)),
    "that of all prompts": ([9, 9], (9, True)),
}


@tabled(("own", "told"), LIMITS.values(), ids=LIMITS)
def test_the_limit_of_answers_is_what_requests_had(own: list[int | None], told: tuple[int, bool]) -> None:
    after = sent([Prompt("a", answer_tokens=tokens) for tokens in own])
    found = after.described(64, exact=True)
    assert (found.max_tokens, found.exact) == told


def test_a_list_is_sent_again_from_the_first() -> None:
    sent = Sent(listed([Prompt("abcd"), Prompt("xyz")], "f"), ahead=4)
    for number in range(4):
        sent.prompt(number)
    assert sent.described(None, exact=False).reuse == pytest.approx(0.5)


def sent(prompts: list[Prompt], ahead: int = 0) -> Sent:
    """Return what was sent after all of these prompts, one after the other."""
    found = Sent(listed(prompts, "f"), ahead=ahead)
    for number in range(len(prompts)):
        found.prompt(number)
    return found


def test_what_only_the_warm_up_has_sent_is_not_counted_as_different() -> None:
    found = sent([Prompt("warm"), Prompt("a"), Prompt("a")]).described(None, exact=False, warm_up=1)
    assert (found.different, found.reuse) == (1, 0.5)


def test_documents_are_a_part_of_what_repeats() -> None:
    found = sent([Prompt("q", ("abcd", "x")), Prompt("q", ("abcd", "y"))]).described(None, exact=False)
    assert found.different == 2
    assert found.reuse == pytest.approx(7 / 16)  # the query, two line ends and a document


@pytest.mark.parametrize(
    "prompts", [[Prompt("a" * 10)] * 5, [Prompt("a", ("a" * 8, "a"))] * 5], ids=["text", "documents"]
)
def test_only_so_many_characters_are_made_before_and_kept(
    prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def make(number: int) -> Prompt:
        made.append(number)
        return prompts[number]

    monkeypatch.setattr("tritonrepo.bench.prompts.AHEAD", 25)
    Sent(Source("here", make), ahead=5)
    assert made == [0, 1, 2]  # the third is the first beyond 25 characters
    found = Sent(Source("here", make), _room=25)
    for number in range(5):
        assert found.prompt(number) == prompts[number]
    assert found.described(None, exact=False).reuse == pytest.approx(0.5)  # of the first two
