"""Values to text: diagnostics, plans and tables; gives strings, never prints."""

from __future__ import annotations
