"""Which paths may name Kubernetes manifests, by what is there, before a file is read."""

from __future__ import annotations

from pathlib import Path

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""Source: kustomize, api/konfig/general.go, RecognizedKustomizationFileNames."""


def kustomization(path: str) -> Path | None:
    """Return the kustomization that a path names, itself or by its directory; None if it names none."""
    given = Path(path)
    if given.name in NAMES:
        return given if given.is_file() else None
    return next((given / name for name in NAMES if (given / name).is_file()), None)


def may_be(path: str) -> bool:
    """Whether a path may name manifests: a file, a directory with a kustomization, or what cannot be looked at."""
    try:
        return Path(path).is_file() or kustomization(path) is not None
    except OSError:  # reading it will say why
        return True
