"""Where trees lie: directories and, later, buckets."""

from __future__ import annotations
