"""Python models: the file that the backend imports, its class, and the config that it completes."""

from __future__ import annotations

from tritonrepo.rules.python import autocompletion, classes, completion, files, importing, packages, tensors

MODULES = (files, importing, packages, classes, autocompletion, completion, tensors)
