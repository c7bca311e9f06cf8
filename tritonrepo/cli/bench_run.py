"""`tritonrepo bench run`: one load on one target or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.bench_live import loading
from tritonrepo.cli.bench_loading import SHAPES, load_of
from tritonrepo.cli.bench_options import benching, cut, ended, finished, options_of, printed, targets_of
from tritonrepo.cli.output import concluded

if TYPE_CHECKING:
    from tritonrepo.diagnostics import Diagnostic
    from tritonrepo.flows.bench import Benched

EPILOG = f"""\b
Examples:
  tritonrepo bench grpc://127.0.0.1:8001/rag --concurrency 8 --stack examples/models/rag
  tritonrepo bench http://127.0.0.1:8000/v1 --rate 4 --duration 60 --slo ttft=500,itl=50
  tritonrepo bench http://127.0.0.1:8000/v2/models/rag/generate_stream --questions questions.jsonl --repeats 3

{EXIT_CODES}"""


@click.command("run", epilog=EPILOG, short_help="Send a load to a served model, and measure it.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@benching(*SHAPES)
def command(targets: tuple[str, ...], *, given: Mapping[str, Any]) -> int:
    """Send a load to a served model, and measure what its users would see.

    TARGET is a URL: `grpc://HOST:PORT/MODEL` or `http://HOST:PORT/v2/models/MODEL/generate_stream` for Triton, and for
    servers with OpenAI's API the URL up to /v1, or that of /v1/chat/completions, /v1/completions, /v1/embeddings or
    /v1/rerank. Several targets are measured one after the other, with the same prompts and times.

    Requests that fail are counted, and are in no distribution. The exit code is 1 if more than 1 % of them fail, or if
    the figures cannot be true together.
    """
    from tritonrepo.flows.bench import each_measured

    options, form = options_of(given, load_of(given)), given["form"]
    done: list[Benched] = []
    cuts: list[BaseException] = []
    with concluded(form, lambda ends: printed(form, done, [*_found(done), *ends])):
        try:
            with cut(done, cuts):
                places = targets_of(given, targets)
                done.extend(each_measured(places, options, lambda target: loading(target.text)))
        finally:
            finished(given, done, _found(done))
    return ended(done, _found(done), cuts)


def _found(done: Sequence[Benched]) -> list[Diagnostic]:
    return [found for each in done for found in each.found]
