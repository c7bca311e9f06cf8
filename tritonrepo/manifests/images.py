"""Names of container images: what they are called, their tag, and the version that it says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tritonrepo.diagnostics import Span

VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?![0-9])")
RELEASE = re.compile(r"([0-9]{2}\.[0-9]{2})(?:-(.+))?")


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a container names it: its name without tag and digest, and these, "" if it has none."""

    text: str
    at: Span
    name: str
    tag: str = ""
    digest: str = ""

    @property
    def last(self) -> str:
        """The last part of its name, such as tritonserver."""
        return self.name.rpartition("/")[2]

    @property
    def version(self) -> tuple[int, ...]:
        """The version that its tag begins with, such as (0, 8, 4) for v0.8.4; empty if it says none."""
        found = VERSION.match(self.tag)
        return tuple(int(each or 0) for each in found.groups()) if found else ()

    @property
    def release(self) -> tuple[str, str]:
        """The release of Triton and the kind of image that its tag says, such as 24.05 and py3; "" for none."""
        found = RELEASE.fullmatch(self.tag)
        return (found[1], found[2] or "") if found else ("", "")

    @property
    def floats(self) -> bool:
        """Whether it can be another image tomorrow: it has neither a digest nor a tag with a version."""
        return not self.digest and self.tag in {"", "latest", "nightly", "main", "master", "stable"}


def image(text: str, at: Span) -> Image:
    """Return the parts of an image's name."""
    name, _, digest = text.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # the port of a registry
        head, tag = name, ""
    return Image(text, at, head, tag, digest)
