"""What the versions of a model share: `NAME/0DIGITS/`, its vendored packages and its tokenizer, next to the versions.

The digits are from the digest of the directory's content, and a version's settings.json names the directories that it
needs: a version has other content, and therefore another number, if one of them changes. A word in a prompt changes a
few small files.

The name is one that no server takes for a version, and whose files do not count for any version's timestamp: a leading
zero and nothing but digits. Source: core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad, skips names
with a leading zero whatever the policy (the same from 24.01 to 25.12); model_repository_manager.cc, ModelTimestamp,
counts a file for all versions only if its first name below the model has a character that is not a digit (24.08 to
25.12; until 24.07, each new file reloads the versions that are served, also one in the directory of a new version).

Seen on Triton 24.10, which polled S3 every second while 50 files for the next version arrived over 8 s, under load:

| layout | what the live version did |
|---|---|
| `NAME/vendor-DIGEST/` | initialized two or three more times: each poll that found new files reloaded it |
| `NAME/1001/`, which no `specific` policy names | nothing; under `latest` it was loaded, and the server hung forever |
| `NAME/0DIGITS/` | nothing, under `specific` and under `latest`; a new model was initialized once |

No request failed. The server warns `ignore version directory` when it loads a version.

Models cannot share a directory: a server copies each model of a bucket, with everything below it, into a directory of
its own (core, src/backend_model.cc, TritonModel::Create, LocalizePath). So `args["model_repository"]` contains what the
model's versions share, from a disk and from a bucket, and nothing of other models.
"""

from __future__ import annotations

import json
import re

from tritonrepo.tree import File, Tree, digest

SETTINGS = "settings.json"
"""The file of a version that names what it shares: values that are such a directory, or a path in one."""

SETTINGS_BYTES = 1 << 22
"""A larger settings.json is not ours and is not read."""

DIGITS = 20
"""Decimal digits of 64 bits."""

DIRECTORY = re.compile(rf"0[0-9]{{{DIGITS}}}")
VENDORED = re.compile(rf"(?!\.\.?/)([^/]+/{DIRECTORY.pattern}/)([^/]+)/")
"""How a file of a vendored package begins: the shared directory, and the package."""


def directory(content: Tree) -> str:
    """Return the name of the directory with this content."""
    return f"0{int(digest(content)[:16], 16):0{DIGITS}d}"


def is_shared(name: str) -> bool:
    """Whether a name next to version directories is that of a directory which versions share."""
    return DIRECTORY.fullmatch(name) is not None


def named(settings: File) -> set[str]:
    """Return the directories that a version's settings.json names; none if it is not a JSON object."""
    if settings.size > SETTINGS_BYTES:
        return set()
    try:
        data = json.loads(settings.content())
    except (ValueError, RecursionError):
        return set()
    values = data.values() if isinstance(data, dict) else ()
    return {top for value in values if isinstance(value, str) and is_shared(top := value.partition("/")[0])}
