"""The stack file: text to nodes with positions to a frozen Stack; and its lock."""

from __future__ import annotations
