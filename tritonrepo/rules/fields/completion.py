"""Whether a backend may still fill in what a config leaves out; where it may, absence is no fault yet."""

from __future__ import annotations

from tritonrepo.repository.completion import SILENT, may_complete, may_complete_tensors

__all__ = ["SILENT", "may_complete", "may_complete_tensors"]
