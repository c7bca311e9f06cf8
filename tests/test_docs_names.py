"""Every name in the documents' code spans is one of the project, and every option one of the command it is said of."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import dropwhile
from pathlib import Path
from typing import Any

import click
import pytest

from tests.actions import ACTION
from tests.claims import TEST
from tests.conftest import EXAMPLE
from tests.documents import PAGES, ROOT, SPAN, commands, stated
from tests.facts import PROJECT
from tests.servers.packages import ROOT as INSTALLED
from tests.syntax import modules
from tests.tabled import tabled
from tests.test_observe import made as watching
from tritonrepo import api
from tritonrepo.cli import COMMANDS, everywhere, run
from tritonrepo.cli.serving import USUAL, ports_or
from tritonrepo.deploy.observe.servers import System
from tritonrepo.diagnostics import State
from tritonrepo.llm.gpus import gpus
from tritonrepo.parts import PARTS
from tritonrepo.pbtxt.schema import messages
from tritonrepo.report.registry import REGISTRY
from tritonrepo.rules import RULES
from tritonrepo.rules.families import FAMILIES
from tritonrepo.server.ports import Ports
from tritonrepo.smoke.case import Outcome
from tritonrepo.spec.schema import schema

WORD = re.compile(r"--?[A-Za-z][\w-]*|[A-Za-z_][\w-]*(?:[./:][\w*-]+)*")
PLACEHOLDER = re.compile(r"[A-Z]+(?:_[A-Z]+)*…?|YY\.MM")
ABOUT = {
    "build": {"adopt", "build", "graph", "index", "image", "init", "lock"},
    "validate": {"releases", "validate"},
    "fit": {"fit", "validate"},
    "plan": {"plan"},
    "bench-check": {"bench check"},
    "cost": {"cost"},
    "push": {"diff", "prune", "pull", "push", "rollback", "status", "unlock"},
    "smoke": {"smoke", "status"},
}
ABOUT |= {
    "ui": {"ask", "ui", "up"},
    "smoke": {"smoke", "status"},
    "serve": {"serve", "up", "doctor"},
    "gateway": {"gateway"},
    "gpu-server": {"deploy"},
    "kubernetes": {"deploy", "push"},
    "engines": {"deploy"},
    "observe": {"deploy"},
    "bench": {"bench"},
    "bench-server": {"bench", "status"},
    "bench-results": {"bench"},
    "stack": {"build", "show"},
    "sources": {"build", "lock"},
    "chunking": {"build", "index"},
    "README": set(),
    "commands": set(COMMANDS),
}
"""Page → the commands that it is about, whose options it may name without their command."""

OF_TRITON = {
    "--strict-readiness",
    "--exit-on-error",
    "--disable-auto-complete-config",
    "--model-control-mode",
    *("--metrics-config", "histogram_latencies", "--cache-config"),
}
"""The server's own options, which the package gives it or asks for."""

OF_OTHERS = {
    *("aiperf_version", "input_config", "generated_texts", "plot"),
    *(
        "curl",
        "pip",
        "pytest",
        "bash",
        "install",
        "console",
        "sh",
        "venv",
        "text",
        "true",
        "null",
        "e",
        "k",
        "blobs",
        "O_NONBLOCK",
        "terminationGracePeriodSeconds",
        "TritonTargetDown",
    ),
    *("kustomize", "helm", "my-chart", "k8s/overlays/prod", "refuses", "Retry-After"),
    *("OpenAIEmbeddings", "check_embedding_ctx_length", "extra_body"),
    *("O_NOFOLLOW", "openai", "pgvector", "bls", "repository", "sources", "dsn", "warmup", "ports"),
    *(
        "AsyncEngineArgs",
        "azurite",
        "docker-compose",
        "hadolint",
        "nvidia-smi",
        "restart",
        "FAMILY",
        "auto_complete_config",
        "udcNN",
        "error",
        "group",
    ),
    *(
        "yaml.customTags",
        "append",
        "remove",
        "sequence",
        "scalar",
        "include",
        "import",
        "extends",
        "with",
        "-e",
        "-k",
        "cosmic-ray",
        "pytest-cov",
    ),
    *(
        ".pre-commit-config.yaml",
        "kube-linter",
        "checks",
        "list",
        *("--output-format", "--add-noqa", "--stdin-filename", "noqa", "ruff.toml"),
        "pre-commit",
        "--all-files",
        "actionlint",
    ),
    *(
        "tritonrepo-validate",
        "tritonrepo-fix",
        "actions/setup-python",
        "fetch-depth",
        *ACTION["inputs"],
        *ACTION["outputs"],
    ),
    *("promtool", *(alert.name for group in watching(System.VLLM) for alert in group.alerts)),
    *("gcloud", "auth", "application-default", "login", "storage.buckets.get"),
    *("s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"),
    *("build", "twine", "--strict", "dist", "sdist", "sha256sum", "upload"),
    *("compinit", "eval", "bashrc", "zshrc", "fish", "completions"),
    *("embedder_model", "generator_prompt", "production", "aarch64"),
}
"""Words of other programs, and of what is not supported."""


KNOWN = commands()
COMMON = {word for option in everywhere.options() for word in option.opts}
"""The options of every command, which have a table of their own."""
ROWS = [name for name, found in KNOWN.items() if not isinstance(found, click.Group)]
"""The commands that have a row in the table of commands."""


def command(name: str) -> click.Command:
    return KNOWN[name]


@cache
def options(name: str) -> frozenset[str]:
    found = [each for words, each in KNOWN.items() if words == name or words.startswith(f"{name} ")]
    return frozenset(
        word for each in found for option in each.params if isinstance(option, click.Option) for word in option.opts
    ) | {"--help", "-h"}


def rows() -> dict[str, tuple[set[str], str]]:
    """Return command → the options in its row of the table of commands, and the row's first cell."""
    found = {}
    for line in stated()["commands"]:
        if match := re.match(r"\| `tritonrepo ((?:(?:bench|cost|deploy) )?\w+)", line):
            first, second, _ = re.split(r" (?<!\\)\| ", line.removeprefix("| "))
            found[match[1]] = ({word for span in SPAN.findall(second) for word in WORD.findall(span)}, first)
    return found


SERVES = {
    *("--http-port", "--grpc-port", "--metrics-port", "--release", "--runtime", "--llm-engine"),
    *("--llm-environment", "--timeout", "--log", "--verbose", "-v", "--allow-links", "--watch"),
}
"""What the row of `up` calls serve's options."""


@tabled("name", ROWS)
def test_the_row_of_a_command_has_its_options_and_no_others(name: str) -> None:
    words, usage = rows()[name]
    said = {word for word in words if word.startswith("-")}
    shown = {next((o for o in option.opts if len(o) == 2), option.opts[0]) for option in own(name)} - COMMON
    assert said | (SERVES - {"--verbose"} if name == "up" else set()) == shown
    arguments = " ".join(
        str(each.make_metavar(click.Context(command(name))))
        for each in command(name).params
        if isinstance(each, click.Argument)
    )
    known = {"DIRECTORY URI": "DIR URI", "URI[@N] DIRECTORY": "URI[@N] DIR", "REPOSITORY": r"DIR\|URI"}
    escaped = known.get(arguments, arguments.replace("|", r"\|"))
    assert usage == f"`tritonrepo {name} {escaped}`".replace(" `", "`").replace("]...`", "]…`")


def own(name: str) -> list[click.Option]:
    return [option for option in command(name).params if isinstance(option, click.Option)]


def test_an_option_that_can_be_repeated_says_so() -> None:
    for name in ROWS:
        for option in own(name):
            assert bool(re.search(r"\bRepeat", option.help or "")) == option.multiple, f"{name} {option.opts}"


DEFAULTS = {
    **{(name, "--color"): "auto" for name in ROWS},
    ("validate", "--baseline"): "from settings",
    ("validate", "--config"): "the nearest .tritonrepo.toml in PATH or above it",
    ("build", "--file"): "tritonrepo.yaml",
    ("image", "--file"): "tritonrepo.yaml",
    ("graph", "--file"): "tritonrepo.yaml",
    ("graph", "--format"): "text",
    ("index", "--file"): "tritonrepo.yaml",
    ("init", "--template"): "rag",
    ("show", "--file"): "tritonrepo.yaml",
    ("lock", "--file"): "tritonrepo.yaml",
    ("ask", "--timeout"): "120.0",
    ("ask", "--format"): "text",
    ("ask", "--input"): "by config",
    ("ask", "--output"): "by config",
    ("gateway", "--grpc"): "the port after URL's, with TLS as for URL",
    ("gateway", "--host"): "127.0.0.1",
    ("gateway", "--port"): "9000",
    ("gateway", "--expose"): "all that fit",
    ("gateway", "--input-type"): "the embedder's own, query",
    ("gateway", "--concurrency"): "64",
    ("gateway", "--queue"): "64",
    ("gateway", "--timeout"): "120.0",
    ("gateway", "--max-tokens"): "any",
    ("gateway", "--max-body"): "4",
    ("gateway", "--drain"): "30.0",
    ("ui", "--port"): "0",
    ("ui", "--timeout"): "120.0",
    ("build", "--output"): "model_repository",
    ("up", "--output"): "model_repository",
    ("diff", "--format"): "text",
    ("pull", "--format"): "text",
    ("unlock", "--format"): "text",
    ("prune", "--keep"): "5",
    ("prune", "--settle"): "30.0",
    ("prune", "--format"): "text",
    ("push", "--keep"): "5",
    ("push", "--format"): "text",
    ("push", "--timeout"): "600.0",
    ("rollback", "--timeout"): "600.0",
    ("rollback", "--format"): "text",
    ("releases", "--format"): "text",
    ("doctor", "--format"): "text",
    ("status", "--format"): "text",
    ("status", "--last"): "10",
    ("status", "--timeout"): "30.0",
    ("status", "--metrics"): "/metrics at the second port after URL's",
    ("rollback", "--settle"): "30, or 5 with --server",
    **{(command, "--timeout"): "120, or 360 with --llm-engine vllm" for command in ("serve", "up")},
    **{(command, "--llm-environment"): "TRITONREPO_VLLM, or vllm in the cache" for command in ("serve", "up")},
    ("smoke", "--timeout"): "30.0",
    ("smoke", "--parallel"): "1",
    ("smoke", "--tolerance"): "0.01",
    ("smoke", "--repeat"): "1",
    ("serve", "--llm-engine"): "ort",
    ("up", "--llm-engine"): "ort",
    ("smoke", "--format"): "text",
    ("validate", "--format"): "text",
    ("fit", "--format"): "text",
    ("plan", "--format"): "text",
    ("plan", "--share"): "95.0",
    ("plan", "--spare"): "1",
    ("plan", "--option"): "the only one, or the one with the name of the GPUs",
    ("plan", "--input-tokens"): "as measured",
    ("plan", "--output-tokens"): "as measured",
    ("bench check", "--format"): "text",
    ("serve", "--http-port"): "8000",
    ("serve", "--grpc-port"): "8001",
    ("serve", "--metrics-port"): "8002",
    ("up", "--http-port"): "8000",
    ("up", "--grpc-port"): "8001",
    ("up", "--metrics-port"): "8002",
    ("push", "--settle"): "30, or 5 with --server",
    ("smoke", "--grpc"): "the port after URL's, with TLS as for URL",
    ("smoke", "--metrics"): "/metrics at the second port after URL's",
    ("adopt", "--output"): "stdout",
    ("deploy docker", "--file"): "tritonrepo.yaml",
    ("deploy docker", "--output"): "deploy",
    ("deploy docker", "--repository"): "model_repository",
    ("deploy docker", "--gpu-id"): "any",
    ("deploy docker", "--bind"): "127.0.0.1",
    ("deploy docker", "--http-port"): "8000",
    ("deploy docker", "--grpc-port"): "8001",
    ("deploy docker", "--metrics-port"): "8002",
    ("deploy docker", "--poll"): "15 for a URI",
    ("deploy k8s", "--file"): "tritonrepo.yaml",
    ("deploy k8s", "--output"): "deploy/k8s",
    ("deploy k8s", "--repository"): "model_repository",
    ("deploy k8s", "--poll"): "15",
    ("deploy kserve", "--file"): "tritonrepo.yaml",
    ("deploy kserve", "--output"): "deploy/kserve",
    ("deploy kserve", "--repository"): "model_repository",
    **{(f"deploy {kind}", "--replicas"): "2" for kind in ("k8s", "kserve")},
    **{(f"deploy {kind}", "--namespace"): "that of kubectl" for kind in ("k8s", "kserve")},
    **{(f"deploy {kind}", "--secret"): "the name of the objects" for kind in ("k8s", "kserve")},
    **{(f"deploy {kind}", "--cache-claim"): "none" for kind in ("k8s", "kserve")},
    **{(f"deploy {kind}", "--storage-class"): "none is written" for kind in ("k8s", "kserve")},
    **{
        (f"deploy {server}", option): default
        for server in ("vllm", "nim")
        for option, default in {
            "--file": "tritonrepo.yaml",
            "--output": f"deploy/{server}",
            "--repository": "model_repository",
            "--release": "from the record or stack, else the newest fully known",
            "--model": "the only one",
            "--name": "the host of the stack's endpoint, or the generator's name",
            "--namespace": "that of kubectl",
            "--replicas": "1",
            "--secret": "the name of the objects",
            "--cache-claim": "one that is written",
            "--storage-class": "that of the cluster",
            "--gpus-per-node": "8",
        }.items()
    },
    ("bench run", "--concurrency"): "one, or any number with those",
    ("bench run", "--repeats"): "1",
    ("bench sweep", "--concurrency"): "`1,2,4` and so on up to 256",
    ("bench sweep", "--least-gain"): "0.1",
    ("bench sweep", "--at"): "p95",
    ("bench compare", "--records-before"): "BEFORE's name with .jsonl",
    ("bench compare", "--records-after"): "AFTER's name with .jsonl",
    ("bench compare", "--format"): "text",
    **{
        (command, option): default
        for command in ("bench run", "bench sweep")
        for option, default in {
            "--requests": "100, or 10 for each in flight if that is more, without --duration",
            "--warmup": "one for each in flight",
            "--seed": "0",
            "--input-tokens": "128",
            "--max-tokens": "128",
            "--model": "the only one",
            "--timeout": "120.0",
            "--metrics": "/metrics at the second port after URL's",
            "--grpc": "the port after URL's, with TLS as for URL",
            "--format": "text",
        }.items()
    },
    ("cost run", "--format"): "text",
    ("cost run", "--today"): "today",
    ("deploy vllm", "--vllm"): "that of the target's release, or the newest whose options are known",
    ("deploy vllm", "--image-name"): "vllm/vllm-openai:vVERSION",
    ("deploy nim", "--profile"): "NIM selects one by the GPUs",
    ("deploy observe", "--file"): "tritonrepo.yaml",
    ("deploy observe", "--output"): "deploy/observe",
    ("deploy observe", "--repository"): "model_repository",
    ("deploy observe", "--system"): "triton, the engines that generators call, and those of --scrape",
    ("deploy observe", "--slo-ttft"): "2000",
    ("deploy observe", "--slo-latency"): "500",
    ("deploy observe", "--job"): "the name of the stack",
    **{(command, "--gpu"): "any" for command in ("fit", "plan", "validate")},
    **{(command, "--gpu-memory"): "from --gpu, the record or stack" for command in ("fit", "plan", "validate")},
    **{
        (command, option): f"from the record or stack, else {default}"
        for command in (
            *("adopt", "deploy docker", "deploy k8s", "deploy kserve", "deploy observe"),
            *("fit", "plan", "validate"),
        )
        for option, default in {
            "--release": "the newest fully known",
            "--image": "all combined",
            "--gpus": "the most that the configs use, at least 1",
        }.items()
    },
}


def test_a_default_is_the_one_that_the_help_shows() -> None:
    """And no option has another: what the help shows in brackets is click's, or written by hand."""
    found = {}
    for name in ROWS:
        context = click.Context(command(name), show_default=True)
        for option in own(name):
            record = option.get_help_record(context)
            assert record is not None
            if default := re.search(r"default: ([^\];]+)", record[1]):
                found[name, option.opts[-1]] = default[1]
    assert found == DEFAULTS
    assert Ports(8000, 8001, 8002) == USUAL == ports_or((None, None, None), USUAL)


@pytest.mark.usefixtures("inside")
def test_validate_takes_the_directory_of_a_build_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate"]) == 2
    assert capsys.readouterr().err.startswith("model_repository: fatal: ")


def test_information_is_shown_when_asked_for(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "r" / "m" / "1").mkdir(parents=True)
    (inside / "r" / "labels.txt").write_text("of no model")
    (inside / "r" / "m" / "config.pbtxt").write_text('backend: "identity"\n')
    run(["validate", "r"])
    assert "file-at-repository-root" not in capsys.readouterr().out
    run(["validate", "r", "-v"])
    assert ": info: " in capsys.readouterr().out


def test_the_row_of_up_speaks_of_the_options_that_it_shares_with_serve() -> None:
    line = next(line for line in stated()["commands"] if line.startswith("| `tritonrepo up"))
    assert "serve's for ports, watching, release, runtime, engine, timeout, log and links; " in line
    assert options("up") & options("serve") - COMMON - {"--help", "-h"} == SERVES


def test_a_value_in_the_table_of_commands_is_called_as_in_the_help() -> None:
    for name, (words, _) in rows().items():
        metavars = " ".join(
            str(option.make_metavar(click.Context(command(name)))) for option in own(name) if not option.is_flag
        )
        renamed = {"FILE": "PATH", "DIR": "PATH"}
        for word in words:
            if not word.startswith("-"):
                assert word in metavars or renamed.get(word, "?") in metavars, f"{name} {word}"


def identifiers() -> Iterator[str]:
    """Yield the names in the package's code, and its strings without spaces."""
    for module in modules().values():
        yield from (module.name, module.name.removeprefix("tritonrepo."))
        for node in module.nodes:
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                    yield name
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    yield name
                case ast.Constant(value=str(text)) if len(text.split()) == 1:
                    yield from (text, *WORD.findall(text))


def files() -> Iterator[str]:
    """Yield the paths of the project, each also without the directories above it; what tools left is not counted."""
    places = ("tritonrepo", "tests", "scripts", "benchmarks", "docs", "schemas", "examples", ".ci")
    own = [*ROOT.glob("*.*"), *(path for place in places for path in (ROOT / place).rglob("*"))]
    found = {
        each
        for path in own
        if path.is_file() and path.parent.name != "__pycache__"
        for each in (path, *path.parents)
        if each.is_relative_to(ROOT)
    }
    for path in found:
        parts = path.relative_to(ROOT).parts
        for number in range(len(parts)):
            yield "/".join(parts[number:])
            yield "/".join(parts[number:]).removesuffix(path.suffix).replace("/", ".")


def keys(node: Any) -> Iterator[str]:  # noqa: ANN401  any JSON
    """Yield the keys and values of the stack file's schema."""
    if isinstance(node, dict):
        yield from (key for key in node if isinstance(key, str))
        yield from (word for value in node.values() for word in keys(value))
    elif isinstance(node, list):
        yield from (word for value in node for word in keys(value))
    elif isinstance(node, str):
        yield node


@cache
def known() -> frozenset[str]:
    """Return every name that the project has."""
    extras = PROJECT["project"]["optional-dependencies"]
    packages = (re.split(r"[\[><=;]", each)[0] for group in extras.values() for each in group)
    fields = (name for kind in messages(None).values() for name in (*kind.fields,))
    return frozenset(
        {
            *re.findall(r"package:([\w-]+)==", (EXAMPLE / "tritonrepo.yaml").read_text("utf-8")),
            INSTALLED.name,
            *(
                option
                for name in ("soak/mutation.py", "all.py")
                for option in re.findall(r"--\w+", (ROOT / "benchmarks" / name).read_text("utf-8"))
            ),
            *(verdict.value.split()[0] for verdict in State),
            *(name.partition("-")[0] for name in RULES),
            *(*COMMANDS, *REGISTRY, *api.__all__, *PARTS, *extras, *packages, *fields, *OF_OTHERS, "tritonrepo"),
            *(family.__name__.rpartition(".")[2] for family in FAMILIES),
            *(word for name in COMMANDS for word in options(name)),
            *(name for each in api.__all__ for name in dir(getattr(api, each))),
            *identifiers(),
            *files(),
            *gpus(),
            *(word for key in keys(schema(PARTS)) if " " not in key for word in (key, *WORD.findall(key))),
        }
    )


def unknown(span: str) -> Iterator[str]:
    """Yield the words of a span that are no name of the project: a placeholder, a path and an example's value are."""
    if span in known() or TEST.fullmatch(span) or span == str(Outcome.NOT_CHECKED) or re.fullmatch(r"\[.*\]|\W*", span):
        return
    text = re.sub(
        r"\"[^\"]*\"|'[^']*'|https?://\S+|s3://\S*|\$\{?\w+\S*|hf://\S*|package:\S*|(?<![\w-])\d[\w.]*|#.*", " ", span
    )
    for word in WORD.findall(text):
        parts = [part for part in re.split(r"[./:]", word) if part]
        if (
            any((ROOT).glob(word))
            if "*" in word
            else word in known() or word in OF_TRITON or PLACEHOLDER.fullmatch(word)
        ):
            continue
        if not all(part in known() or PLACEHOLDER.fullmatch(part) or len(part) < 2 for part in parts):
            yield word


NAMED = [
    (page, span)
    for page in PAGES
    if page != "rules.md"
    for line in stated()[Path(page).stem]
    for span in SPAN.findall(line)
]
SPANS = sorted(
    {
        (page, span)
        for page, span in NAMED
        if " changed by hand" not in span and not span.startswith(("[1] ", "$ curl "))
    }
)


def test_a_name_in_the_documents_is_one_of_the_project() -> None:
    assert [f"{page}: `{span}`: {word}" for page, span in SPANS for word in unknown(span)] == []


def lines_of_commands() -> Iterator[tuple[str, str]]:
    """Yield each span that is a command line of ours, and its page."""
    for page, span in SPANS:
        if span.startswith("tritonrepo ") and span.split()[1] != "COMMAND":
            yield page, span


def test_a_command_line_in_a_sentence_names_a_command_and_its_options() -> None:
    for page, span in lines_of_commands():
        _, *words = shlex.split(span.replace("[", "").replace("]", ""))
        name, *words = dropwhile(COMMON.__contains__, words)
        assert name in COMMANDS, f"{page}: `{span}`"
        assert {word for word in words if word.startswith("-") and word != "-"} <= options(name), f"{page}: `{span}`"


PAGES_ABOUT = [page for page in stated() if page in ABOUT]


@tabled("page", PAGES_ABOUT)
def test_an_option_is_one_of_the_command_that_the_page_or_the_sentence_is_about(page: str) -> None:
    wrong = []
    for line in stated()[page]:
        spans = SPAN.findall(line)
        named = {word for span in spans for word in span.split() if word in COMMANDS}
        allowed = OF_TRITON.union(*(options(name) for name in ABOUT[page] | named))
        wrong += [
            f"{word}: {line}"
            for span in spans
            for word in WORD.findall(re.sub(r"'[^']*'|\bpip .*|curl .*", "", span))
            if word.startswith("-") and word not in allowed
        ]
    assert wrong == []


MODULE = re.compile(r"`python -m ([\w.]+)")


def test_a_module_that_the_documents_run_is_there_and_does_what_they_say() -> None:
    """It says so itself: its docstring has how it is run."""
    run = {name for line in stated()["CONTRIBUTING"] for name in MODULE.findall(line)} - {"build"}
    assert run == {
        "benchmarks.all",
        "benchmarks.retrieval",
        "benchmarks.streams",
        "benchmarks.engine",
        "benchmarks.soak.streams",
        "benchmarks.soak.gateway",
        "benchmarks.soak.endings",
        "benchmarks.soak.fixed",
        "benchmarks.soak.formats",
        "benchmarks.soak.kills",
        "benchmarks.soak.mutation",
        "benchmarks.soak.pages",
        "benchmarks.soak.push_rounds",
        "benchmarks.soak.pushes",
        "benchmarks.soak.record",
        "benchmarks.soak.release_verdicts",
        "benchmarks.soak.sabotages",
        "benchmarks.soak.store_faults",
        "benchmarks.soak.store_sizes",
        "scripts.docs",
        "scripts.package",
        "scripts.update_language_models",
        "scripts.update_model_config",
        "scripts.update_releases",
        "scripts.update_vllm",
        "scripts.update_vllm_flags",
    }
    for name in run:
        found = importlib.util.find_spec(name)
        assert found is not None, name
        assert found.origin is not None
        tree = ast.parse(Path(found.origin).read_text("utf-8"))
        assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body), name


def test_a_variable_of_the_environment_is_one_that_is_read() -> None:
    """An option's is `TRITONREPO_COMMAND_OPTION`; others stand in the code."""
    said = {word for _, span in NAMED for word in re.findall(r"\b(?:TRITONREPO|XDG|TEST)_[A-Z_]+", span)}
    of_options = {str(option.envvar) for name in COMMANDS for option in own(name)}
    read = {name for name in identifiers() if name.isupper()} | {"TEST_SERVERS"}
    of_options |= {f"TRITONREPO_{option.name}".upper() for option in everywhere.options()}
    assert said - of_options - read == set()
    assert said >= {"TRITONREPO_SERVE_HTTP_PORT", "XDG_CACHE_HOME", "TEST_SERVERS"}


def test_an_extra_that_is_to_be_installed_is_one_of_the_package() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    said = [
        word
        for _, span in NAMED
        for found in re.findall(r"pip install .*\[([\w,]+)\]", span)
        for word in found.split(",")
    ]
    assert said
    assert set(said) <= extras.keys()
