"""Small revisions that identify themselves, and what a bucket holds of them. Pure, except for writing one to a disk."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

CODE = """import numpy
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        answer = numpy.array([[b"{token}"]], dtype=object)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("RELEASE", answer)]) for _ in requests]
"""
LEAF = """name: "{name}"
backend: "python"
max_batch_size: 8
input [ {{ name: "ASK" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "RELEASE" data_type: TYPE_STRING dims: [ 1 ] }} ]
version_policy {{ specific {{ versions: [ {version} ] }} }}
"""
STEP = (
    'step [ {{ model_name: "{name}" model_version: {version} input_map {{ key: "ASK" value: "ASK" }}'
    ' output_map {{ key: "RELEASE" value: "{name}" }} }} ]'
)
PIPELINE = """name: "pipeline"
platform: "ensemble"
max_batch_size: 8
input [ {{ name: "ASK" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {outputs} ]
version_policy {{ specific {{ versions: [ 1 ] }} }}
ensemble_scheduling {{
{steps}
}}
"""
OUTPUT = '{{ name: "{name}" data_type: TYPE_STRING dims: [ 1 ] }}'
CONFIG, KEEP = "config.pbtxt", ".keep"
BESIDE, RECORD, LOCK = ".tritonrepo/", ".tritonrepo/release.json", ".tritonrepo/lock.json"
PAST = (".tritonrepo/revisions/", ".tritonrepo/kept/")
"""What every push leaves next to the repository: the revisions that it replaced, and what it overwrote."""
NAME, SERVED, STEPS = (
    re.compile(r'^name\s*:\s*"([^"]*)"', re.MULTILINE),
    re.compile(r"versions\s*:\s*\[([^\]]*)\]"),
    re.compile(r'model_name: "(\w+)" model_version: (\d+)'),
)

State = Mapping[str, str]
"""Path → MD5 of the content, which is the ETag of an object that one PUT wrote."""


class Leaf(NamedTuple):
    """A version of a model that identifies the revision that added it."""

    version: int
    token: str
    parts: int


class Revision(NamedTuple):
    """What one push uploads: its files by path, and the response of its pipeline."""

    number: int
    leaves: Mapping[str, Leaf]

    @property
    def answer(self) -> frozenset[str]:
        return frozenset(leaf.token for leaf in self.leaves.values())

    @property
    def files(self) -> dict[str, bytes]:
        outputs = ", ".join(OUTPUT.format(name=name) for name in self.leaves)
        steps = "\n".join(STEP.format(name=name, version=leaf.version) for name, leaf in self.leaves.items())
        found = {"pipeline/config.pbtxt": PIPELINE.format(outputs=outputs, steps=steps), f"pipeline/1/{KEEP}": ""}
        for name, (version, token, parts) in self.leaves.items():
            found[f"{name}/config.pbtxt"] = LEAF.format(name=name, version=version)
            found[f"{name}/{version}/model.py"] = CODE.format(token=token)
            found |= {f"{name}/{version}/part-{part}": f"{token} {part}" for part in range(parts)}
        return {path: text.encode() for path, text in found.items()}

    def write(self, place: Path) -> Path:
        for path, content in self.files.items():
            at = place / path
            at.parent.mkdir(parents=True, exist_ok=True)
            if at.name != KEEP:
                at.write_bytes(content)
        return place

    @property
    def state(self) -> dict[str, str]:
        return {path: md5(content) for path, content in self.files.items()}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def revisions(random: Random, count: int) -> list[Revision]:
    """Return a first revision and others; each follows the previous one or, as on a separate branch, the first."""
    found = [Revision(0, {name: Leaf(1, f"{name}-r0", 1) for name in ("left", "right")})]
    for number in range(1, count):
        parent = random.choice([found[0], *[found[-1]] * 4])
        leaves = dict(parent.leaves)
        moved = random.sample(sorted(leaves), random.choice([1, 2, 2, 2]))
        if "extra" not in leaves and random.randrange(5) == 0:
            moved.append("extra")
        for name in moved:
            version = leaves[name].version + 1 if name in leaves else number
            leaves[name] = Leaf(version, f"{name}-r{number}", random.randrange(5))
        found.append(Revision(number, leaves))
    return found


def whole(state: State, revision: Revision) -> str:
    """Return what keeps a bucket from being a complete revision; empty if it is one."""
    for path, digest in revision.state.items():
        if state.get(path) != digest:
            return f"{path} is {'another' if path in state else 'missing'}"
    return ""


def strays(state: State, revision: Revision) -> list[str]:
    """Return the files in the versions of a revision that are not its own."""
    tops = tuple(f"{name}/{leaf.version}/" for name, leaf in revision.leaves.items())
    return [path for path in state if path.startswith(tops) and path not in revision.state]


def recorded(record: bytes, state: State, revision: Revision) -> str:
    """Return what is wrong in a record; empty if it describes the revision in the bucket."""
    try:
        files = {path: (sha, size, tag) for path, (sha, size, tag) in json.loads(record)["files"].items()}
    except (ValueError, KeyError, TypeError) as error:
        return f"the record cannot be read: {error!r}"
    for path, content in revision.files.items():
        if files.get(path) != (hashlib.sha256(content).hexdigest(), len(content), state.get(path)):
            return f"the record says of {path} {files.get(path)}, there is {state.get(path)}"
    return (
        f"the record names {sorted(files.keys() - revision.files.keys())} too"
        if len(files) > len(revision.files)
        else ""
    )


def unsafe(state: State, contents: Mapping[str, bytes], known: Sequence[Revision]) -> str:
    """Return what a server must not see in a bucket: incomplete versions, steps that call what is not served."""
    served: dict[str, set[int]] = {}
    steps: list[tuple[str, int]] = []
    for path, tag in state.items():
        name, _, rest = path.partition("/")
        if rest == CONFIG:
            text = contents[tag].decode()
            named = NAME.search(text)
            ours = named is not None and named[1] == name
            versions = SERVED.search(text) if ours else None
            served[name] = {int(number) for number in versions[1].split(",")} if versions else set()
            steps += [(model, int(version)) for model, version in STEPS.findall(text) if ours]
    for name, versions_ in served.items():
        for version in sorted(versions_):
            if name != "pipeline" and not any(_is(state, name, version, revision) for revision in known):
                return f"{name} serves version {version}, which is no revision's"
    for name, version in steps:
        if version not in served.get(name, ()):
            return f"the pipeline calls {name} {version}, and served is {sorted(served.get(name, ()))}"
    return ""


def _is(state: State, name: str, version: int, revision: Revision) -> bool:
    """Whether a version is in the bucket exactly as in a revision."""
    top = f"{name}/{version}/"
    wanted = {path: tag for path, tag in revision.state.items() if path.startswith(top)}
    return bool(wanted) and wanted.items() <= state.items()
