"""What the commands do, as functions: values in, values out; no click, no printing, no exit codes."""

from __future__ import annotations
