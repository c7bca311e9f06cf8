"""Cases of what answers: the prompt step, a generator, a pipeline that ends in one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.smoke.asking import streams_over_http
from tritonrepo.smoke.case import Case, Check, Fault, Judge, Protocol, Reply
from tritonrepo.smoke.judge import both, joined, text, well_formed
from tritonrepo.smoke.made import CONTROLS, ask, controls, given, made_up
from tritonrepo.smoke.served import Served

QUESTION = "Which passage was given?"
PASSAGE = "A passage that smoke gave."
TURN = re.compile(r"\{%-?\s*+(?:(?P<opens>if add_generation_prompt\s*+-?%\})|(?:else|elif|endif)\b)")
SAID = re.compile(r"\{\{-?\s*+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\s*-?\}\}")


def prompt(served: Served, template: str) -> Case:
    """Give the case of a prompt step: its text holds query and passage, and ends where the model is to go on."""
    inputs = [given(served, "query", QUESTION), given(served, "passages", [PASSAGE]), *controls(served)]
    judge = both(well_formed(served), _prompts(turn(template)))
    return Case(Check.PROMPT, ask(served, inputs), judge, served.at, compared=Severity.ERROR)


def turn(template: str) -> str:
    """Give what a chat template ends with when it asks for an answer; empty where that is not a plain text.

    Templates say so in `{% if add_generation_prompt %}…{% endif %}` (transformers, docs, chat_templating).
    """
    block = _turn(template)
    if SAID.sub("", block).strip():
        return ""
    try:
        return "".join(map(_literal, SAID.findall(block))).strip()
    except UnicodeDecodeError:
        return ""


def _turn(template: str) -> str:
    """Give the last block of a template that stands between `if add_generation_prompt` and what ends it."""
    block, begin = "", None
    for tag in TURN.finditer(template):
        if tag["opens"]:
            begin = tag.end() if begin is None else begin
        elif begin is not None:
            block, begin = template[begin : tag.start()], None
    return block


def _literal(written: str) -> str:
    """Give the text of a string in Jinja, which may run over lines (jinja2, lexer.py, Lexer.wrap)."""
    return written[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")


def _prompts(end: str) -> Judge:
    def judge(reply: Reply) -> Iterator[Fault]:
        written = "".join(text(value) for value in joined(reply).get("prompt", []))
        for what, value in (("query", QUESTION), ("passage", PASSAGE)):
            if value not in written:
                yield Fault(f'the prompt does not hold the {what} "{value}"', "Look at prompt.j2.")
        if not written.rstrip().endswith(end):
            yield Fault(
                f"the prompt ends with {written[-40:]!r}; the chat template's answer begins after {end!r}",
                "Is its chat template the generator's own?",
            )

    return judge


def stream(served: Served, query: str = "", question: str = QUESTION) -> Case:
    """Give the case of a decoupled model: responses come, and then an end.

    One that takes vLLM's controls is asked for few tokens and must say something, the same over both protocols.
    """
    request = made_up(served)
    if query:
        request = ask(served, [given(served, query, question), *controls(served)])
    talks = {name for name in CONTROLS if name in {tensor.name for tensor in request.inputs}} == set(CONTROLS)
    return Case(
        Check.STREAM,
        request,
        both(well_formed(served), _speaks) if talks else well_formed(served),
        served.at,
        protocols=tuple(Protocol) if streams_over_http(request) else (Protocol.GRPC,),
        streamed=True,
        compared=Severity.WARNING if talks else None,
    )


def _speaks(reply: Reply) -> Iterator[Fault]:
    if not any(text(value) for values in joined(reply).values() for value in values.tolist()):
        yield Fault(f"the stream ended after {len(reply.responses)} responses without a word", "Look at its prompt.")
