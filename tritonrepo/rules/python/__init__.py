"""What the Python backend makes of a model's source: the file it imports, the class in it, what that completes."""

from __future__ import annotations

from tritonrepo.rules.python import autocompletion, classes, completion, files

MODULES = (files, classes, autocompletion, completion)
