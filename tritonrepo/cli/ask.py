"""`tritonrepo ask`: a text to any model of a running server, and its answer as it arrives."""

from __future__ import annotations

import sys
from typing import Any

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.asking import empty, told
from tritonrepo.cli.connecting import Reach, over_http
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import concluded
from tritonrepo.cli.values import WAIT
from tritonrepo.flows.asking import Answer, ask
from tritonrepo.report import asked as report
from tritonrepo.server.questions import AskOptions, value

EPILOG = f"""\b
Examples:
  tritonrepo ask http://127.0.0.1:8000 rag "How do I roll a model back?"
  tritonrepo ask http://127.0.0.1:8000 search "How do I roll a model back?" --format json
  tritonrepo ask http://127.0.0.1:8000 generator - --set 'sampling_parameters={{"temperature": 0}}'

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["ask"])
@click.argument("url")
@click.argument("model", metavar="PIPELINE")
@click.argument("text")
@click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE", help="Value of another input: JSON or text. Repeatable."
)
@click.option("--input", "into", default="", metavar="NAME", help="Input that takes the text.  [default: by config]")
@click.option("--output", "out", default="", metavar="NAME", help="Output that is the answer.  [default: by config]")
@over_http
@click.option("--timeout", type=WAIT, default=120.0, metavar="SECONDS", help="Maximum wait for the whole answer.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def command(
    url: str,
    model: str,
    text: str,
    *,
    given: tuple[str, ...],
    into: str,
    out: str,
    reach: Reach,
    timeout: float,
    form: str,
) -> int:
    """Send a text to a pipeline or model of a running server, and print its answer as it arrives.

    URL is the server's HTTP address, and PIPELINE any model that takes a text; its served config says how. With - as
    TEXT, the text is read from standard input. The sources of an answer are printed on stderr, and the answer on
    stdout, as are the passages that a search finds. The exit code is 1 if the model sends an error or no text.
    """
    text = _read() if text == "-" else text
    if not _sendable(text):
        raise click.UsageError("the text is empty or not UTF-8")
    wanted = AskOptions(into, out, dict(map(_setting, given)))
    answer = Answer(model)
    with interruptible(), concluded(form, lambda ends: report.document(answer.as_json(), ends)):
        replies = ask(reach.endpoint(url, timeout, timeout), model, text, wanted)
        if form == "text":
            told(url, f'"{model}"', replies)
        else:
            for said in replies:
                answer.add(said)
            if not answer:
                raise empty(url, f'"{model}"')
    return 0


def _read() -> str:
    """Return the text on standard input, which is UTF-8 whatever the locale says."""
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape").rstrip("\r\n") if sys.stdin else ""


def _sendable(text: str) -> bool:
    """Return whether a text is not empty and can be sent as UTF-8; Python holds other bytes as half surrogates."""
    return bool(text.strip()) and not any("\ud800" <= character <= "\udfff" for character in text)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, rest = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f'--set needs NAME=VALUE, not "{text}"')
    return name, value(rest)
