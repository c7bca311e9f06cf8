"""Bringing a store to the state of a tree: plan, apply, record."""

from __future__ import annotations
