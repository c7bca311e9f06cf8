"""Bring a store to what a tree says: plan, apply, record."""

from __future__ import annotations
