"""A stack and its files to the tree of a model repository; reads and writes nothing."""

from __future__ import annotations
