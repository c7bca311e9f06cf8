"""Values to text: diagnostics, plans and tables. Returns strings and never prints."""

from __future__ import annotations
