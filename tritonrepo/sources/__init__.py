"""The sources of weights and vendored packages, and the cache that keeps their files."""

from __future__ import annotations
