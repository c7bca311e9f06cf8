"""`tritonrepo releases`: what each Triton release holds."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import concluded, say
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.releases import releases
from tritonrepo.releases import Release
from tritonrepo.report import releases as report

EPILOG = f"""\b
Examples:
  tritonrepo releases
  tritonrepo releases 24.05
  tritonrepo releases 24.05 26.07 --format json

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["releases"])
@click.argument("names", nargs=-1, metavar="[RELEASE]...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def command(names: tuple[str, ...], *, form: str) -> int:
    """List the Triton releases: their versions of Python, CUDA, ONNX Runtime, vLLM and TensorRT, and their images.

    With RELEASE, show that release in detail: also the backends of each image, the GPUs and the driver that it needs,
    and the sources. A fact that is not known is called unknown.
    """
    found: Sequence[Release] = ()

    def made(ends: Sequence[Diagnostic]) -> str:
        return report.document(found, ends)

    with concluded(form, made):
        found = releases(names)
        if form == "text":
            say(*report.text(found, detailed=bool(names)))
    return 0
