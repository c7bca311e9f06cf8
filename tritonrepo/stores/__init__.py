"""Where trees are stored: directories and buckets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.plain import hidden
from tritonrepo.stores import gcs_uri, s3_uri
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Bucket, Store


def _s3(uri: str) -> tuple[Store, str]:
    from tritonrepo.stores import s3  # most commands use no bucket

    return s3.open_uri(uri)


def _gs(uri: str) -> tuple[Store, str]:
    from tritonrepo.stores import gcs

    return gcs.open_uri(uri)


BUCKETS: Mapping[str, Bucket] = {
    "s3": Bucket(_s3, s3_uri.FORM, s3_uri.KEYS, s3_uri.as_triton),
    "gs": Bucket(_gs, gcs_uri.FORM, gcs_uri.KEYS, gcs_uri.as_triton),
}
"""The kinds of buckets, by the scheme of their URIs."""

LATER = {"as"}
NEARLY = re.compile(f"({'|'.join([*BUCKETS, *LATER])}):", re.IGNORECASE)
CREDENTIALS = "TRITON_CLOUD_CREDENTIAL_PATH"


def is_remote(text: str) -> bool:
    """Whether a text is meant as the URI of a bucket, however wrong, and not as a path."""
    return "://" in text or NEARLY.match(text) is not None


def open_store(uri: str, links: Sequence[Path] = ()) -> tuple[Store, str]:
    """Return the Store and the prefix in it that a path or URI names.

    The Store of a path is its parent directory, that of a URI its bucket: what belongs to a repository but must not be
    in it is stored next to it. Nothing is accessed before the first `scan` or `read`. `links` are directories into
    which links may lead out of a scanned one.
    """
    if is_remote(uri):
        return _opener(uri)(uri)
    if not uri:
        hint = "Use `.` for the current directory. If the value comes from a variable, set the variable."
        raise fatal("store-uri", '""', "an empty string is not a directory or a bucket URI", hint)
    try:
        path = Path(uri).absolute()
    except FileNotFoundError:
        hint = "Change to another directory, or use an absolute path."
        raise fatal("store-access", uri, "the working directory does not exist any more", hint) from None
    path = path.resolve() if path.name == ".." else path
    return DirectoryStore(path.parent, links), path.name


class Location(NamedTuple):
    """Where a path or URI leads, however it is written: the service, "" for this machine, and the full path there."""

    service: str
    path: str

    def __str__(self) -> str:
        """Return the URI or path that leads there."""
        return self.service + ("/" if "://" in self.service.partition("://")[2] else "") + self.path

    def within(self, other: Location) -> bool:
        """Whether this is the other one or a path in it."""
        return self.service == other.service and f"{self.path}/".startswith(f"{other.path}/")


def located(uri: str) -> Location:
    """Return where a path or URI leads; raise Stop for a URI that Triton would misread. Nothing is accessed."""
    if not is_remote(uri):
        return Location("", str(Path(uri).resolve()))
    _opener(uri)
    scheme = uri.partition("://")[0]
    address = BUCKETS[scheme].as_triton(uri)
    endpoint = address.endpoint.lower() if isinstance(address, s3_uri.Address) else ""
    return Location(f"{scheme}://{endpoint}", "/".join(filter(None, (address.bucket, address.key.strip("/")))))


def _opener(uri: str) -> Callable[[str], tuple[Store, str]]:
    """Return what opens a URI; raise Stop if Triton would not read it as a bucket."""
    scheme, slashes, _ = uri.partition("://")
    bucket = BUCKETS.get(scheme)
    if hidden(uri) != uri:
        hint = " ".join(each.keys for each in ([bucket] if bucket else BUCKETS.values()))
        raise fatal("store-uri", uri, "the URI has a user or password, which Triton does not support", hint)
    if slashes and bucket:
        return bucket.open_uri
    raise _unknown(uri, scheme if slashes else "")


def _unknown(uri: str, scheme: str) -> Stop:
    hint = f"Use {', or '.join(bucket.form for bucket in BUCKETS.values())}."
    if not scheme:
        message = "Triton would read this as a local path because a URI needs two slashes"
        return fatal("store-uri", uri, message, hint)
    if scheme in LATER:
        message = f"{scheme}:// buckets are not supported yet"
        return fatal(
            "store-uri", uri, message, f"Use a directory or an {' or '.join(f'{name}://' for name in BUCKETS)} URI."
        )
    message = f'Triton does not know the scheme "{scheme}" and would read this as a local path'
    return fatal("store-uri", uri, message, hint)


def server_environment(uri: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment by which a server reads a path or URI; empty if it has a credentials file for that.

    Source: core, src/filesystem/api.cc, FileSystemManager::LoadCredentials.
    """
    store, _ = open_store(uri)
    return {} if CREDENTIALS in environ else store.server_environment()
