"""Triton with a repository, before its manifests are written."""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.kube.workload import TRITON, of_stack
from tritonrepo.deploy.service import Service
from tritonrepo.repository import Repository

KIND = TRITON


class Serving(NamedTuple):
    """A server, the models that it serves, how it gets them, and what the user decides.

    `claimed` is the claim with the repository, "" for a bucket, and `gateway` the image of a gateway, "" for none.
    `holds` is what the GPUs of a pod hold, for a comment.
    """

    service: Service
    found: Repository
    claimed: str
    wanted: Wanted
    gateway: str = ""
    holds: tuple[str, tuple[str, ...]] = ("", ())

    @property
    def name(self) -> str:
        """The name of its objects."""
        return of_stack(self.service.name)

    @property
    def secret(self) -> str:
        """The Secret with its keys and tokens."""
        return self.wanted.secret or self.name

    @property
    def pushed(self) -> bool:
        """Whether models change while the server runs."""
        return self.service.control.changes
