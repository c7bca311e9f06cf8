"""Rule pages: their sections, their archives, and what the rules report on these; shared by tests and soak runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.manifest_stack import Beside, Given, beside, compared
from tritonrepo.flows.manifest_uris import misread
from tritonrepo.llm.gpus import gpu, gpu_memory
from tritonrepo.manifests.objects import Manifests
from tritonrepo.manifests.reading import resource
from tritonrepo.report import pages as report_pages
from tritonrepo.repository import NOTHING, Said, Target, target
from tritonrepo.repository.target import recorded
from tritonrepo.rules import RULES, Judged, Rule, judge
from tritonrepo.rules.manifests.judge import judge as judge_manifests
from tritonrepo.rules.registry import Scope
from tritonrepo.tree import Directory, Entry, File, Link, Outside, Unreadable, of_bytes

STATUS = re.compile(
    r"^(Invalid argument|Internal|Not found|Unavailable|Unsupported|Already exists|Unknown|Cancelled): "
)
DATA = Path(__file__).parent / "data"
NEEDED = ("Why", "Source", "Bad", "Says", "Good")
OPTIONAL = ("Run with", "Server says", "Also", "Fix")
DOTS = re.compile(r"^\.\.\.$\n?", re.MULTILINE)
REST = """input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
"""


def sections(page: str) -> dict[str, str]:
    """Return a page's sections, their texts dedented."""
    return dict(report_pages.sections(page))


def files(archive: str) -> dict[str, Entry]:
    """Return the files of an archive: `-- path --` then the content; `-- path/ --` is an empty directory.

    A config that ends with a line `...` goes on with REST, and its model has 1/weights if the archive shows no
    other file of it. If all files end in .yaml, they are manifests, which are judged together.
    `-- path = name --` takes the content of tests/data/name; `-- path: a FIFO --` is one, see `Unreadable`, and
    `-- path: a link to .. --` a link to a directory that is not looked into, `-- path: a link out to /data --` one out
    of the tree, `-- path: a link out to the file /data --` one to a file there, and
    `-- path: 3 GiB that begin as name --` a large protobuf message.
    """
    parts = re.split(r"^-- (.+?) --\n?", archive, flags=re.MULTILINE)[1:]
    found: dict[str, Entry] = {}
    for head, body in zip(parts[::2], parts[1::2], strict=True):
        path, _, name = head.partition(" = ")
        path, odd, what = path.partition(": ")
        if odd and (large := re.fullmatch("([0-9]+) GiB that begin as (.+)", what)):
            found[path] = _large((DATA / large[2]).read_bytes(), int(large[1]) << 30)
        elif odd:
            found[path] = Unreadable(what) if what in list(Unreadable) else _link(what)
        elif path.endswith("/"):
            found[path.rstrip("/")] = Directory()
        else:
            found[path] = of_bytes((DATA / name).read_bytes() if name else DOTS.sub(REST, body).encode())
    for model in re.findall(rf"^-- ([^/\n]+)/config.pbtxt --\n(?:(?!-- ).*\n)*?{DOTS.pattern}", archive, re.MULTILINE):
        if not any(path.startswith(f"{model}/") and path != f"{model}/config.pbtxt" for path in found):
            found[f"{model}/1/weights"] = of_bytes(b"")
    return found


def _large(content: bytes, size: int) -> File:
    """Return the file that a message of protobuf becomes with zeros in its field 6, in ONNX a comment."""
    length = size - len(content) - 7
    head = content + b"\x32" + bytes(length >> shift & 127 | (128 if shift < 35 else 0) for shift in range(0, 42, 7))
    return File(size, lambda offset, n: (head[offset : offset + n] + bytes(n))[: max(0, min(n, size - offset))])


def _link(what: str) -> Link:
    if target := re.fullmatch("a link out to (the file )?(.+)", what):
        return Outside(target[2], directory=target[1] is None)
    return Link(what.removeprefix("a link to "))


def server(options: str) -> Target:
    """Return the target of a page's `Run with`, in the words of the command line; 24.10 without GPU is the default."""
    words = shlex.split(options)
    pairs = list(pairwise([*words, ""]))
    given = dict(pairs)
    images = tuple(word for flag, word in pairs if flag == "--image")
    named = gpu(given.get("--gpu", ""))
    made = target(
        Said(
            given.get("--release", "24.10"),
            images or None,
            int(given.get("--gpus", "0")),
            auto_complete="--no-auto-complete" not in words,
            gpu_memory=gpu_memory(given.get("--gpu-memory", "")) or (named.memory if named else None),
        )
    )
    return replace(made, gpu=named)


def judged(tree: Mapping[str, Entry], options: str = "") -> Judged:
    """Judge a tree for a page's target; a URI among the options is where the tree is."""
    if all(path.endswith(".yaml") and isinstance(entry, File) for path, entry in tree.items()):
        gpus = int(options.split()[1]) if options else None
        found = _objects(tree)
        return Judged(judge_manifests(replace(found, gpus=gpus, compared=misread(found))), ())
    if "--stack" in options:
        return Judged(with_stack(tree, shlex.split(options)[1]), ())
    root = next((word for word in shlex.split(options) if "://" in word), "")
    return judge(repository.read(tree, server(options), root))


def with_stack(tree: Mapping[str, Entry], path: str) -> tuple[Diagnostic, ...]:
    """Judge the manifests of a page, beside a directory of it that is the repository which they serve."""
    inside = {name.removeprefix(f"{path}/"): each for name, each in tree.items() if name.startswith(f"{path}/")}

    record = inside.pop("tritonrepo.json", None)
    own = recorded(json.loads(record.content())["target"], path) if isinstance(record, File) else NOTHING

    def look(given: Given) -> Beside:
        found = repository.read(inside, target(given.said))
        return beside(path, given, found, judge(found).verdicts, own)

    found = _objects({name: each for name, each in tree.items() if "/" not in name})
    return judge_manifests(replace(found, compared=compared(found, look)))


def _objects(tree: Mapping[str, Entry]) -> Manifests:
    read = [resource(entry.content(), path) for path, entry in tree.items() if isinstance(entry, File)]
    assert [fault for each in read for fault in each.faults] == []
    return Manifests(tuple(found for each in read for found in each.objects))


def said(tree: Mapping[str, Entry], options: str = "", only: Rule | None = None) -> str:
    """Return what is said of a tree, as one text."""
    found = judged(tree, options).diagnostics
    return "\n".join(str(d) for d in found if only is None or d.rule == only.name)


def loud(tree: Mapping[str, Entry], options: str = "", only: Rule | None = None) -> set[str]:
    """Return the rules that say more than `info` of a tree; of manifests, with `only`, those of its family.

    An example of what Kubernetes checks needs no server that is all right, nor the other way round.
    """
    found = {d.rule for d in judged(tree, options).diagnostics if RULES[d.rule].severity != "info"}
    if only is None or only.scope is not Scope.MANIFEST:
        return found
    family = only.check.__module__.rpartition(".")[0]
    return {name for name in found if RULES[name].check.__module__.startswith(f"{family}.")}


def normal(text: str, root: str = "") -> str:
    """Return a reason without its status, pointers and the place of the repository."""
    text = text.replace(root, "$REPO") if root else text
    return " ".join(re.sub(r"0x[0-9a-f]{6,}", "0xPTR", STATUS.sub("", text)).split())
