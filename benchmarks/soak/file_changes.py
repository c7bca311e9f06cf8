"""Changes of a model's files and of what names them: versions, policies, model files, links, directories as files."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.soak.drafts import Draft, Group, configs, pick, python_file
from benchmarks.soak.models import version_policy
from benchmarks.soak.tensors import rare
from tritonrepo.tree import Directory, Unreadable, of_bytes

VERSIONS = (
    *("2", "3", "10", "0", "01", "007", "-1", "+3", " 4", "1a", "1.0", "2_old", "v1", "latest", "1_0", "٣", "1e3"),
    *(".git", "__pycache__", "configs", "warmup", "initial_state", "0aux", "assets", "9223372036854775807"),
)
MODEL_FILES = (
    *("model.py", "model.onnx", "model.pt", "model.plan", "model.xml", "model.savedmodel", "model.graphdef"),
    *("model.bin", "model.pt2", "labels.txt", "Model.py", "model.json"),
)
INFERRED = ("backend", "platform", "default_model_filename")


def any_draft(dice: random.Random, group: Group) -> Draft:
    """Return one of the models."""
    return dice.choice(group)


def add_version(dice: random.Random, group: Group) -> None:
    """Add a version directory, with a copy of the first one's files or with nothing."""
    draft = any_draft(dice, group)
    name = dice.choice(VERSIONS)
    draft.files[name] = Directory()
    if rare(dice, 0.75):
        for path, entry in list(draft.files.items()):
            if path.startswith("1/"):
                draft.files[f"{name}/{path[2:]}"] = entry


def rename_version(dice: random.Random, group: Group) -> None:
    """Rename the version directory 1."""
    draft = any_draft(dice, group)
    name = dice.choice(VERSIONS)
    files = {path: entry for path, entry in draft.files.items() if path == "1" or path.startswith("1/")}
    for path, entry in files.items():
        del draft.files[path]
        draft.files[name + path[1:]] = entry
    draft.files.setdefault(name, Directory())


def remove_file(dice: random.Random, group: Group) -> None:
    """Remove a file or a directory."""
    draft = any_draft(dice, group)
    path = pick(dice, sorted(draft.files))
    if path is not None:
        for other in [*draft.files]:
            if other == path or (rare(dice, 0.3) and other.startswith(f"{path.partition('/')[0]}/")):
                del draft.files[other]


def add_file(dice: random.Random, group: Group) -> None:
    """Add a file that may have a meaning, in a version directory or next to it."""
    draft = any_draft(dice, group)
    where = dice.choice(("1/", "1/", "2/", "", "0aux/", "assets/"))
    name = dice.choice(MODEL_FILES)
    draft.files[where + name] = python_file() if name == "model.py" else of_bytes(b"content")


def add_directory(dice: random.Random, group: Group) -> None:
    """Create a directory where a file is or may be."""
    draft = any_draft(dice, group)
    path = dice.choice((*MODEL_FILES, "labels.txt", "warmup/raw", "initial_state/state.bin", "1"))
    at = path if rare(dice, 0.2) else f"1/{path}"
    draft.files[at] = Directory()


def add_link(dice: random.Random, group: Group) -> None:
    """Add a dangling link."""
    draft = any_draft(dice, group)
    draft.files[dice.choice(("dead", "1/dead", "2", "labels.txt", "README"))] = Unreadable.DANGLING


def add_data(dice: random.Random, group: Group) -> None:
    """Add what configs name: labels, data of a warmup, an initial state."""
    draft = any_draft(dice, group)
    files = {
        "labels.txt": b"cat\ndog\n",
        "1/labels.txt": b"cat\n",
        "warmup/raw": b"\0" * dice.choice((0, 4, 64, 4096)),
        "initial_state/state.bin": b"\0" * dice.choice((0, 4, 64)),
        "README.md": b"# model\n",
    }
    path = dice.choice(list(files))
    draft.files[path] = of_bytes(files[path])


def infer(dice: random.Random, group: Group) -> None:
    """Let the server find the backend, or name only the file."""
    draft = pick(dice, configs(group))
    if draft is None or draft.config is None:
        return
    for name in INFERRED:
        draft.config.pop(name, None)
    if rare(dice, 0.3):
        draft.config["default_model_filename"] = dice.choice(MODEL_FILES)


def no_config(dice: random.Random, group: Group) -> None:
    """Remove or rename the config."""
    any_draft(dice, group).config = None


def name_it(dice: random.Random, group: Group) -> None:
    """Set a name in the config, or remove it."""
    draft = pick(dice, configs(group))
    if draft is not None and draft.config is not None:
        draft.config["name"] = dice.choice((draft.name, draft.name, "other", "", draft.name + " ", "Made"))


def choose_versions(dice: random.Random, group: Group) -> None:
    """Set a policy, with two versions."""
    draft = pick(dice, configs(group))
    if draft is None or draft.config is None:
        return
    draft.config["version_policy"] = version_policy(dice, draft.config)
    add_version(dice, [draft])


def dotted(dice: random.Random, group: Group) -> None:
    """Name the model after a backend."""
    draft = any_draft(dice, group)
    draft.name += dice.choice((".identity", ".python", ".nosuch", ".", ".v2.identity", ".onnxruntime"))
    if draft.config is not None and rare(dice, 0.5):
        for name in (*INFERRED, "name"):
            draft.config.pop(name, None)


def alone_with_backend(dice: random.Random, group: Group) -> None:
    """Set the backend instead of the platform, or the reverse, or both."""
    draft = pick(dice, configs(group))
    if draft is None or draft.config is None:
        return
    pairs = (
        ("tensorrt", "tensorrt_plan"),
        ("onnxruntime", "onnxruntime_onnx"),
        ("pytorch", "pytorch_libtorch"),
        ("tensorflow", "tensorflow_savedmodel"),
        ("tensorflow", "tensorflow_graphdef"),
        ("python", ""),
        ("", "ensemble"),
    )
    backend, platform = dice.choice(pairs)
    draft.config["backend"] = dice.choice((backend, "", backend, "python"))
    draft.config["platform"] = dice.choice((platform, "", platform, "onnx"))


CHANGES: list[Callable[[random.Random, Group], None]] = [
    *[add_version] * 4,
    *[rename_version] * 3,
    *[choose_versions] * 3,
    remove_file,
    add_file,
    add_file,
    add_directory,
    add_link,
    add_data,
    add_data,
    infer,
    infer,
    no_config,
    name_it,
    dotted,
    alone_with_backend,
]
