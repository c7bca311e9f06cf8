"""The documents' blocks are run, their links lead somewhere, and what is generated is current."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from scripts import writing
from scripts.docs import pages
from tests.claims import TEST, Claim, unproven
from tests.conftest import EXAMPLE
from tests.documents import PAGES, README, ROOT, SPAN, blocks, statements
from tests.pages import judged
from tests.processes import unmeasured
from tests.pushes import CODE
from tests.servers.packages import compose, kustomize
from tests.tabled import tabled
from tests.test_lock_merge import git
from tritonrepo.cli import COMMANDS, root, run
from tritonrepo.cli.defaulting import Defaulting
from tritonrepo.gateway.serving import gateway
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.process import Server
from tritonrepo.tree import of_text

LINKING = [*PAGES.values(), ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]
BLOCKS = {f"{name} {number}": block for name in PAGES for number, block in enumerate(blocks(name), 1)}


def of(language: str) -> dict[str, str]:
    return {name: block.text for name, block in BLOCKS.items() if block.language == language}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory as a user's clone: the examples, and the results of `bench` that are made up."""
    for example in ("rag", "seed", "vllm-llama"):
        shutil.copytree(EXAMPLE.parent / example, tmp_path / "examples" / "models" / example)
    shutil.copytree(Path(__file__).parent / "data" / "plan", tmp_path / "tests" / "data" / "plan")
    return tmp_path


CONSOLE = {name: text for name, text in of("console").items() if not name.startswith("ci.md ")}
"""Those of ci.md are one session, with a hook of git: see test_ci.py."""


SHELL = re.compile(r"""[|<>'"*$]""")
"""What a command line has that needs a shell; any other one of ours is run here, where everything is imported."""

BUSY = re.compile(r"^[a-z].* …\n", re.MULTILINE)
"""What is said only until the cache has what a command needs, and so only by the first test that needs it."""


@pytest.mark.parametrize("block", CONSOLE.values(), ids=CONSOLE)
def test_a_console_block_prints_what_it_shows(
    checkout: Path, block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout)
    commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    assert "".join(f"$ {command}\n{shown}" for command, shown in commands) == block
    others = {"docker-compose": compose, "kustomize": kustomize}
    programs = [Path(sys.executable).parent, *(of().parent for name, of in others.items() if f"\n$ {name} " in block)]
    for command, shown in commands:
        if command.startswith("tritonrepo ") and not SHELL.search(command):
            run(shlex.split(command)[1:])
            out, err = capsys.readouterr()
            printed = out + BUSY.sub("", err)
        else:
            line = f'PATH="{":".join(map(str, programs))}:$PATH"; {command}'
            done = subprocess.run(
                ["bash", "-c", line], capture_output=True, encoding="utf-8", check=False, env=unmeasured()
            )
            printed = done.stdout + BUSY.sub("", done.stderr)
        pattern = re.sub(r"^…\\\n", "(?:.*\n)*", re.escape(shown), flags=re.MULTILINE).replace("…", ".*")
        assert re.fullmatch(pattern, printed), printed


def test_a_block_is_of_a_kind_that_is_tested() -> None:
    """`console` and `sh` are run or parsed here, `python` by test_api.py, `yaml` of the stack by test_docs_examples.py,
    `toml` by test_settings.py; `text` is in the ledger, and test_ci.py reads the others of ci.md.
    """
    kinds = {block.language for block in BLOCKS.values()}
    assert kinds == {"console", "sh", "python", "yaml", "toml", "text", "groovy"}
    others = {"stack.md", "ci.md", "openai.md"}
    yamls = {name for name, block in BLOCKS.items() if block.language == "yaml" and block.page not in others}
    assert yamls == {"README.md 6", "smoke.md 5"}
    assert {block.page for block in BLOCKS.values() if block.language == "python"} == {"api.md"}


def examples() -> Iterator[str]:
    """Yield the commands of the blocks of `sh` and of the examples in the help of commands and of their subcommands."""
    for text in of("sh").values():
        yield from text.splitlines()
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        below = [*command.commands.values()] if isinstance(command, click.Group) else []
        for each in (command, *below):
            shown = re.search(r"^Examples:\n((?:  .*\n)+)", each.epilog or "", re.MULTILINE)
            assert shown, each.name
            yield from (line.strip() for line in shown[1].splitlines())


OURS = sorted({line.split("#")[0].strip() for line in examples() if line.startswith("tritonrepo ")})
OTHERS = sorted({line for line in examples() if not line.startswith("tritonrepo ")})


@tabled("line", OURS)
def test_an_example_is_a_command_line_that_its_command_takes(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = root.get_command(click.Context(root), name)
    assert command is not None
    if isinstance(command, Defaulting) and arguments[0] not in command.commands:
        arguments.insert(0, command.default)
    if isinstance(command, click.Group):
        short = isinstance(command, Defaulting) and arguments[0] not in command.commands
        name, *arguments = [command.default, *arguments] if short and isinstance(command, Defaulting) else arguments
        command = command.commands[name]
    command.make_context(name, arguments, parent=click.Context(root))


def test_the_examples_of_deploy_say_all_that_an_example_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the help and of pages on a stack of ours; there is no bucket to ask for the others."""
    monkeypatch.chdir(EXAMPLE.parents[2])
    lines = [line for line in OURS if re.match(r"tritonrepo deploy \w+ examples/", line)]
    assert {line.split()[2] for line in lines} == {"docker", "k8s", "kserve", "vllm", "nim", "observe"}
    for line in lines:
        assert run([*shlex.split(line)[1:], "--dry-run"]) == 0, f"{line}\n{capsys.readouterr().err}"


CURL = (
    "curl -N 127.0.0.1:8000/v2/models/rag/generate_stream"
    """ -d '{"query": "How do I roll a model back?", "stream": true}'"""
)
CHAT = (
    """curl -N 127.0.0.1:9000/v1/chat/completions -d '{"model": "rag", "stream": true, """
    """"messages": [{"role": "user", "content": "How do I roll a model back?"}]}'"""
)


def test_the_other_lines_of_shell_blocks_are_those_that_are_run_elsewhere() -> None:
    """By `.ci/run`, by this file, by whoever writes a rule, on a server with Docker, and for a cluster."""
    assert OTHERS == [
        ". .venv/bin/activate",
        "bash .ci/run",
        "cp deploy/.env.example deploy/.env",
        CURL,
        CHAT,
        "docker build --tag registry.example/rag:1 deploy/k8s && docker push registry.example/rag:1",
        "docker compose -f deploy/compose.yaml up --detach --wait",
        "kubectl apply -k deploy/k8s/overlays/prod",
        "kubectl create secret generic handbook-rag --from-env-file=.env",
        "kubectl port-forward service/handbook-rag 8000 8001",
        "kubectl rollout status deployment/handbook-rag",
        "pip install -q '.[gateway]'",
        "pip install -q '.[local,ui]'",
        "pip install -q '.[local]'",
        "pip install -q -e '.[all,test]'",
        "pip install tritonrepo pre-commit",
        "python -m pytest -q -n 2",
        "python -m pytest -q -n 2 tests/test_rules.py tests/rules tests/test_order.py",
        "python3 -m venv .venv && . .venv/bin/activate",
    ]
    (chosen,) = (line for line in OTHERS if "tests/" in line)
    assert [path for path in re.findall(r"tests/\S+", chosen) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("words", "broken"), [([], ""), (["--poll", "5"], ""), (["--poll", "5"], "no-such-model")])
def test_the_health_check_that_is_deployed_says_whether_models_are_ready(
    rag_server: Server, rag_repository: Path, tmp_path: Path, words: list[str], broken: str
) -> None:
    assert run(["deploy", "docker", str(rag_repository), "-o", str(tmp_path / "deploy"), *words]) == 0
    service = yaml.safe_load((tmp_path / "deploy" / "compose.yaml").read_text("utf-8"))["services"]["triton"]
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    command = [word.replace("http://127.0.0.1:8000", rag_server.http) for word in command]
    command = [re.sub(r"/models/\w+/", f"/models/{broken}/", word) if broken else word for word in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not broken), done.stderr


MODEL = """backend: "python"
max_batch_size: 0
input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }
instance_group { kind: KIND_CPU }
"""
IN_GIT = [line for line in OURS if "--changed-since" in line or "--files" in line]
READING = [line for line in OURS if line.split()[1] in {"validate", "explain"} and line not in IN_GIT]


@pytest.mark.parametrize("line", READING)
def test_an_example_that_only_reads_succeeds(
    line: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout)
    for name in ("models", "model_repository"):
        (checkout / name / "m" / "1").mkdir(parents=True)
        (checkout / name / "m" / "config.pbtxt").write_text(MODEL)
        (checkout / name / "m" / "1" / "model.py").write_text(CODE)
    assert run(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", IN_GIT)
def test_an_example_of_changes_checks_them(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what git does not know yet: it has only a commit without files."""
    monkeypatch.chdir(tmp_path)
    for words in (
        ["init", "-q"],
        ["commit", "--allow-empty", "-qm", "x"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        assert git(tmp_path, *words).returncode == 0
    for repository, name in (("models", "embedder"), ("models", "ranker"), ("model_repository", "m")):
        (tmp_path / repository / name / "1").mkdir(parents=True)
        (tmp_path / repository / name / "config.pbtxt").write_text(MODEL)
        (tmp_path / repository / name / "1" / "model.py").write_text(CODE)
    assert run(shlex.split(line)[1:]) == 0
    assert re.search(r"concern (\d+) of \1 models?\n$", capsys.readouterr().err)


def test_a_request_of_the_documents_is_answered(rag_server: Server) -> None:
    program, *arguments = shlex.split(CURL.replace("127.0.0.1:8000", rag_server.http.removeprefix("http://")))
    if shutil.which(program) is None:
        pytest.skip("no curl: on request")
    done = subprocess.run([program, "-s", *arguments], capture_output=True, text=True, check=True, timeout=60)
    first, *events = [json.loads(line.removeprefix("data: ")) for line in done.stdout.splitlines() if line]
    assert json.loads(first["sources"])[0]["id"] == "rollback"
    assert len(events) > 1
    assert all(isinstance(event["answer"], str) for event in events)


def test_a_request_of_the_documents_is_answered_by_the_gateway(rag_server: Server) -> None:
    with gateway(Endpoint(rag_server.http, grpc=rag_server.grpc)) as front:
        program, *arguments = shlex.split(CHAT.replace("127.0.0.1:9000", front.url.removeprefix("http://")))
        if shutil.which(program) is None:
            pytest.skip("no curl: on request")
        done = subprocess.run([program, "-s", *arguments], capture_output=True, text=True, check=True, timeout=60)
    first, *_, last = [line.removeprefix("data: ") for line in done.stdout.splitlines() if line]
    assert json.loads(first)["citations"]["results"][0]["document_id"] == "rollback"
    assert last == "[DONE]"


def test_the_case_of_the_documents_is_asked_and_passes(
    rag_server: Server, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = checkout / "examples" / "models" / "rag" / "tritonrepo.yaml"
    text = BLOCKS["smoke.md 5"].text
    stack.write_text(stack.read_text("utf-8").split("\nsmoke:")[0] + "\n" + text, "utf-8")
    cases = yaml.safe_load(text)["smoke"]
    asked = [word for case in cases for word in ("--only", case["model"])]
    assert run(["smoke", rag_server.http, str(stack), "--grpc", rag_server.grpc, *asked, "--format", "json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    passed = [row for row in results if (row["check"], row["outcome"]) == ("declared", "passed")]
    assert len(passed) == 2 * len(cases)


def test_a_comment_of_the_documents_hides_what_it_names() -> None:
    """And nothing else: without it, the finding is there."""
    page = [each for name, each in BLOCKS.items() if name.startswith("validate.md ")]
    (line,) = [each.text for each in page if each.text.count("\n") == 1 and "tritonrepo: ignore[" in each.text]
    found = [
        judged({"m/config.pbtxt": of_text(MODEL + text), "m/1/model.py": of_text(CODE)})
        for text in (line, line.partition("#")[0])
    ]
    assert [[each.rule for each in one.diagnostics] for one in found] == [[], ["dynamic-without-batching"]]
    assert [one.ignored for one in found] == [1, 0]


def test_the_readme_is_short_and_runs_what_ci_runs_first() -> None:
    """`.ci/run` takes its first block of sh for the way to run it, its second for the tests."""
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    first, second = (block.text for block in blocks("README.md") if block.language == "sh")
    assert first.splitlines()[-1].startswith("tritonrepo up examples/models/rag --ask ")
    assert second.splitlines()[-1] == "python -m pytest -q -n 2"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@tabled("page", LINKING, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), anchor


def test_every_document_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\]\((docs/[\w-]+\.md)", README.read_text("utf-8"))
    assert {*linked} == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_the_readme_shows_the_example_as_it_is() -> None:
    """Without its comments."""
    example = (EXAMPLE / "tritonrepo.yaml").read_text("utf-8")
    assert yaml.safe_load(BLOCKS["README.md 6"].text) == yaml.safe_load(example)


def test_the_readme_shows_the_beginning_of_an_answer() -> None:
    shown, posted = (block.text for block in blocks("README.md") if block.language == "text")
    assert "version_policy" in shown
    assert shown.endswith(" …\n")
    assert posted.endswith("…\n")
    lines = (EXAMPLE / "docs" / "handbook.jsonl").read_text("utf-8").splitlines()
    of = {document["title"]: document for document in map(json.loads, lines)}
    for title, url in re.findall(r"\[\d\] (.*?)  0\.\d{3}  (\S+)\n", shown):
        assert of[title]["url"] == url
    assert shown.count("https://") == 2
    named = json.loads("{" + re.findall(r'"title.*example.com[^,]*', posted.replace("\\", ""))[0] + "}")
    assert of[named["title"]]["url"] == named["url"]


def test_what_is_made_from_the_code_is_current() -> None:
    for path, content in pages().items():
        assert path.read_text("utf-8") == content, f"{path.name}: run python -m scripts.docs"


def test_only_what_differs_is_written_or_with_check_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(writing, "ROOT", tmp_path)
    same, new = tmp_path / "same", tmp_path / "a" / "new"
    same.write_text("1", "utf-8")
    for words, code, said in (
        (["--check"], 1, "a/new is stale; run `python -m scripts.docs`\n"),
        ([], 0, "a/new written\n"),
        (["--check"], 0, ""),
    ):
        monkeypatch.setattr(sys, "argv", ["docs", *words])
        assert writing.write_or_check({same: "1", new: "2"}, "docs") == code
        assert capsys.readouterr().out == said
        assert new.exists() == (said != "a/new is stale; run `python -m scripts.docs`\n")
    assert new.read_text("utf-8") == "2"


GUARDED = ["untrusted.md", "untrusted-texts.md"]


@pytest.mark.parametrize("page", GUARDED)
def test_every_guard_in_the_tables_names_tests_that_are_there(page: str) -> None:
    rows = [line for line in statements(PAGES[page].read_text("utf-8")) if line.startswith("| ")][1:]
    for number, row in enumerate(rows, 1):
        proofs = tuple(SPAN.findall(row.removesuffix(" |").rpartition(" | ")[2]))
        assert list(unproven(Claim(row, proofs, number))) == [], row
        assert all(TEST.fullmatch(proof) for proof in proofs), row
