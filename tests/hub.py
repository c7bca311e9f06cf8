"""A stand-in for the Hugging Face Hub, which has what a test gives it, and a second host from which it has large files.

The paths, headers and JSON keys are those that huggingface_hub 2.4 reads: hf_api.py (HfApi.model_info, ModelInfo),
file_download.py (hf_hub_url, get_hf_file_metadata), constants.py, utils/_http.py (hf_raise_for_status).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.speaking import Asked, Said, Speaking, plain, speaking

API = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
FILE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
LARGE = 100
"""Files from this size on are kept by Git LFS here; at the real Hub, from 10 MB on and by their kind."""

COMMIT, LATER = "c" * 40, "d" * 40


def git(content: bytes) -> str:
    """Return the name of a blob as `git hash-object` gives it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sibling(path: str, content: bytes) -> dict[str, Any]:
    """Return a file as the Hub lists it."""
    if len(content) < LARGE:
        return {"rfilename": path, "size": len(content), "blobId": git(content)}
    large = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
    return {"rfilename": path, "size": len(content), "blobId": "b" * 40, "lfs": large}


def ranged(asked: Asked, content: bytes) -> Said:
    """Return a file, or its part from the byte that is asked for on."""
    start = int((asked.head.get("range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    if not start:
        return Said(content)
    if start >= len(content):
        return Said(b"", 416)
    return Said(content[start:], 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})


@dataclass
class Hub:
    """A running hub: its models by id and commit, what its branches are, and what happens to requests before that."""

    models: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    tampered: Callable[[Asked], Said | None] = lambda _: None
    tampered_large: Callable[[Asked], Said | None] = lambda _: None
    here: Speaking = field(default_factory=lambda: Speaking(""))
    large: Speaking = field(default_factory=lambda: Speaking(""))

    def put(self, model: str, files: Mapping[str, bytes], commit: str = COMMIT) -> None:
        """Add a commit, which is the branch `main` from then on."""
        self.models.setdefault(model, {})[commit] = dict(files)
        self.branches["main"] = commit

    @property
    def url(self) -> str:
        return self.here.url

    @property
    def paths(self) -> list[str]:
        """What the hub was asked for, without queries."""
        return [urlsplit(asked.path).path for asked in self.here.asked]

    def answer(self, asked: Asked) -> Said:
        if (said := self.tampered(asked)) is not None:
            return said
        path = unquote(urlsplit(asked.path).path)
        if match := API.fullmatch(path):
            return self._listed(match["id"], unquote(match["revision"] or "main"))
        match = FILE.fullmatch(path)
        assert match, path
        content = self.models[match["id"]][match["revision"]].get(match["path"])
        if content is None:
            return refused(404, "EntryNotFound")
        if len(content) < LARGE:
            said = ranged(asked, content)
            return said._replace(head={**said.head, "ETag": f'"{git(content)}"', "X-Repo-Commit": match["revision"]})
        linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
        return Said(b"", 302, {"Location": f"{self.large.url}/{sha256(content)}?signature=s3cret", **linked})

    def answer_large(self, asked: Asked) -> Said:
        if (said := self.tampered_large(asked)) is not None:
            return said
        contents = [c for model in self.models.values() for files in model.values() for c in files.values()]
        return ranged(asked, {sha256(content): content for content in contents}[urlsplit(asked.path).path[1:]])

    def _listed(self, model: str, revision: str) -> Said:
        if model not in self.models:
            return refused(404, "RepoNotFound")
        commit = self.branches.get(revision, revision)
        if commit not in self.models[model]:
            return refused(404, "RevisionNotFound")
        siblings = [sibling(path, content) for path, content in self.models[model][commit].items()]
        return plain({"id": model, "sha": commit, "siblings": siblings})


def refused(status: int, code: str = "", message: str = "no") -> Said:
    """Return a refusal as the Hub words it."""
    said = plain({"error": message}, status)
    return said._replace(head={"X-Error-Code": code, "X-Error-Message": message} if code else {})


@contextmanager
def running() -> Iterator[Hub]:
    """Run both hosts."""
    hub = Hub()
    with speaking(hub.answer) as hub.here, speaking(hub.answer_large) as hub.large:
        yield hub
