"""Checks of Kubernetes manifests: what the API server refuses, and what applies but never serves."""

from __future__ import annotations

from tritonrepo.rules.manifests import selectors

__all__ = ["selectors"]
