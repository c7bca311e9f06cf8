"""What Triton cannot read in a bucket, although objects may have such names.

Source of all: core, src/filesystem/implementations/s3.h and gcs.h, GetDirectoryContents, LocalizePath; s3.h,
S3FileSystem, whose pattern for URIs with an endpoint also applies to every path below them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.rules.layout.environments import HERE, PARAMETER
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import File

ENDPOINT = re.compile(r"s3://(?:https?://)?[^/:]+:[0-9]+/")
SAFE = re.compile(r"[0-9a-zA-Z.\-_]+")
CLIENT = "Unable to create S3 filesystem client"


@rule("object-key-double-slash", Severity.ERROR, at=Stage.PARSE.after("repository-listing-fails"), after_faults=True)
def double_slash(model: Model) -> Iterator[Finding]:
    """The key of an object cannot have two slashes in a row."""
    if "://" not in model.root:
        return
    path = next((path for path in model.entries if path.startswith("/") or "//" in path), None)
    if path is not None:
        yield Finding(
            path,
            "the key has an empty name between two slashes, so Triton cannot list its directory",
            hint="Copy the object to a key with single slashes, and delete this one.",
            reason="Cannot handle item with empty name at ",
        )


def _odd(name: str) -> bool:
    return bool(name) and SAFE.fullmatch(name) is None


@rule(
    "s3-endpoint-model-name-chars",
    Severity.ERROR,
    at=Stage.PARSE.after("object-key-double-slash"),
    after_faults=True,
)
def model_name(model: Model) -> Iterator[Finding]:
    """With an S3 endpoint, the name of a model must have only letters, digits, ".", "-" and "_"."""
    if "://" in model.root and ENDPOINT.match(model.root) and _odd(model.name):
        yield Finding(
            "",
            f'with an endpoint in the URI, Triton does not find a model named "{model.name}"',
            hint='Rename the model, using only letters, digits, ".", "-" and "_".',
            reason=CLIENT,
        )


@rule("s3-endpoint-file-chars", Severity.WARNING, after_faults=True)
def file_name(model: Model) -> Iterator[Finding]:
    """With an S3 endpoint, the names of files should have only letters, digits, ".", "-" and "_"."""
    if "://" not in model.root or not ENDPOINT.match(model.root) or _odd(model.name):
        return
    found = [path for path in model.entries if any(map(_odd, path.split("/")))]
    if found:
        more = f" and {len(found) - 1} more files" if len(found) > 1 else ""
        yield Finding(
            found[0],
            f"with an endpoint in the URI, Triton never notices changes of this file{more}, and logs an error "
            "at each poll",
            hint='Rename it, using only letters, digits, ".", "-" and "_".',
        )


@rule("single-file-localisation", Severity.ERROR, "parameters", at=Stage.BACKEND.after("fil-parameter"))
def single_file(model: Model) -> Iterator[Finding]:
    """In a GCS bucket, a packed Python environment must be in the directory of its model."""
    value = model.parameters.get(PARAMETER)
    if not model.root.startswith("gs://") or model.backend != "python" or not isinstance(value, Message):
        return
    written = value.text("string_value")
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    if written.startswith(f"{HERE}/") and path.startswith("../") and isinstance(follow(model, path), File):
        name = posixpath.basename(path)
        yield Finding(
            value.scalars("string_value")[-1],
            f"Triton cannot copy {name} from a GCS bucket, because it is outside the directory of the model",
            hint=f"Copy it next to config.pbtxt, and use {HERE}/{name}.",
            reason="GCS file localization not yet implemented ",
        )
