"""`python -m tritonrepo` is the `tritonrepo` command."""

from __future__ import annotations

from tritonrepo.cli import main

main()
