"""Paths as a CI service knows them: from the top of the repository that it has checked out."""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from tritonrepo.plain import hidden


class Home(NamedTuple):
    """The working directory, and the top of the working tree that it is in; both are absolute.

    Without a top, all paths are outside.
    """

    here: str = "/"
    top: str = ""

    def path(self, name: str) -> str:
        """Return the path of a file, or of a directory, from the top; an absolute one outside; a URI as it is.

        Sources: GitHub's docs, "SARIF support for code scanning", "Root location for source files"; GitLab's docs,
        "Code Quality report format", location.path.
        """
        if is_uri(name):
            return hidden(name)
        whole = posixpath.normpath(posixpath.join(self.here, name))
        inside = self.top and (whole == self.top or whole.startswith(self.top.rstrip("/") + "/"))
        return posixpath.relpath(whole, self.top) if inside else whole


def is_uri(name: str) -> bool:
    """Return whether a name is that of something in a bucket or on a server."""
    return "://" in name
