"""Where weights and vendored packages come from, and the cache that keeps them."""

from __future__ import annotations
