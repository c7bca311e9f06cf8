"""Where trees lie: directories and buckets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.plain import hidden
from tritonrepo.stores import s3
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Store

BUCKETS: Mapping[str, Callable[[str], tuple[Store, str]]] = {"s3": s3.open_uri}
"""What opens the URIs of each scheme, and reads them as Triton does."""

LATER = {"gs", "as"}
NEARLY = re.compile("(s3|gs|as):", re.IGNORECASE)
FORM = "s3://BUCKET/PREFIX on AWS, s3://http://HOST:PORT/BUCKET/PREFIX anywhere else"
CREDENTIALS = "TRITON_CLOUD_CREDENTIAL_PATH"


def is_remote(text: str) -> bool:
    """Whether a text is meant as a URI of a bucket, however wrong, and not as a path."""
    return "://" in text or NEARLY.match(text) is not None


def open_store(uri: str, links: Sequence[Path] = ()) -> tuple[Store, str]:
    """Return the Store and the prefix in it that a path or URI names.

    The Store of a path is its parent directory, that of a URI its bucket: what belongs to a repository and must not lie
    in it has its place beside it. Nothing is asked before the first `scan` or `read`. `links` are directories into
    which links may lead out of one that is scanned.
    """
    if is_remote(uri):
        return _opener(uri)(uri)
    if not uri:
        hint = "Was a variable meant that is not set? This directory is written as a dot."
        raise fatal("store-uri", '""', "an empty text names no directory and no bucket", hint)
    path = Path(uri).absolute()
    path = path.resolve() if path.name == ".." else path
    return DirectoryStore(path.parent, links), path.name


def _opener(uri: str) -> Callable[[str], tuple[Store, str]]:
    """Return what opens a URI; raise Stop where Triton would take it for something else than a bucket."""
    if hidden(uri) != uri:
        hint = "Give the key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE."
        raise fatal("store-uri", uri, "Triton reads no user and no password in a URI", hint)
    scheme, slashes, _ = uri.partition("://")
    if slashes and scheme in BUCKETS:
        return BUCKETS[scheme]
    raise _unknown(uri, scheme if slashes else "")


def _unknown(uri: str, scheme: str) -> Stop:
    if not scheme:
        return fatal("store-uri", uri, "Triton would take this for a path: two slashes begin a URI", f"Write {FORM}.")
    if scheme in LATER:
        message = f"{scheme}:// buckets are not supported yet"
        return fatal("store-uri", uri, message, "Name a directory or an s3:// URI.")
    message = f'Triton knows no scheme "{scheme}" and would take this for a path'
    return fatal("store-uri", uri, message, f"Write {FORM}.")


def server_environment(uri: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables by which a server reads a path or URI; none where it has a file of its own for that.

    Source: core, src/filesystem/api.cc, FileSystemManager::LoadCredentials.
    """
    found = open_store(uri)[0].server_environment()
    return {} if CREDENTIALS in environ else found
