"""Python models: the file that the backend imports, its class, and the config that it completes."""

from __future__ import annotations

from tritonrepo.rules.python import autocompletion, classes, completion, files, importing, packages, returns, tensors

MODULES = (files, importing, packages, returns, classes, autocompletion, completion, tensors)
