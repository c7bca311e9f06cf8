"""config.pbtxt text; the printer's output is canonical."""

from __future__ import annotations
