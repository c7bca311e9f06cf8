"""Cases of a prompt step: its text must be what the repository's own templates make of what a request gives."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Judge, Reply, Result
from tritonrepo.smoke.expected import Expected, text_of
from tritonrepo.smoke.judge import both, joined, text, well_formed
from tritonrepo.smoke.made import CONTROLS, SAMPLING, ask, controls, given
from tritonrepo.smoke.served import Served
from tritonrepo.sources.rendering import Question, Templates, rendered

QUESTIONS = 8
PASSAGES = 4
MESSAGES = "messages"
"""The input with the conversation."""

SIZES = (2000, 1000, 700, 500, 350, 250, 150, 100)
"""Characters of a passage: the longest with which a prompt surely fits, because a token is at least one byte."""

AROUND = 30
"""How many characters are shown on either side of a difference."""

PASSED = "Check that model.py passes on what the request says: it comes before the defaults of settings.json."
TEMPLATES = "Check prompt.j2, the chat template in settings.json, and the model.py that renders them."


def cases(served: Served, model: Expected) -> Iterator[Case | Crowd | Result]:
    """Yield the cases: one question by itself, and several at once.

    If no reference can be made, the query and the best passage must be present, and the rest is reported as unchecked.
    """
    version = served.version if served.version in model.contents else model.versions[-1]
    try:
        templates = _templates(model, version)
        asked, prompts = _written(templates, served)
    except ValueError as error:
        reason = f"the whole prompt: {error}"
        yield Result(served.name, served.version, Check.PROMPT, "by its templates", unchecked=reason)
        yield _case(served, _question(0, SIZES[-1]), _holds(_question(0, SIZES[-1])), "")
        return
    system = str(templates.settings.get("system") or "")
    alone = [
        _case(served, question, _is(prompt, question, system), f'"{question.query}"')
        for question, prompt in zip(asked, prompts, strict=True)
    ]
    yield from alone[:2] if asked[1].turns else alone[:1]
    yield Crowd(tuple(alone), served.joins)


def _templates(model: Expected, version: str) -> Templates:
    try:
        settings = json.loads(model.file(version, "settings.json").content())
    except (ValueError, RecursionError):
        settings = None
    chat = settings.get("chat_template") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(chat, str):
        raise ValueError("settings.json is not a JSON object with a chat_template")  # noqa: TRY004
    return Templates(text_of(model.file(version, "prompt.j2")), chat, settings)


def _written(templates: Templates, served: Served) -> tuple[list[Question], list[str]]:
    """Return the questions, of the longest passages that fit, and the prompts that the templates make of them."""
    budget = _budget(templates)
    asked = [[_full(_question(number, size), number, served) for number in range(QUESTIONS)] for size in SIZES]
    prompts = rendered(templates, [question for own in asked for question in own])
    for start, questions in enumerate(asked):
        own = prompts[start * QUESTIONS : (start + 1) * QUESTIONS]
        if max(len(prompt.encode()) for prompt in own) <= budget:
            return questions, own
    raise ValueError(f"even a short prompt with {PASSAGES} passages might not fit in {budget} tokens")


def _budget(templates: Templates) -> int:
    """Return the maximum number of tokens of a prompt; raise ValueError if nothing states it."""
    settings = templates.settings
    try:
        answer = max(int(settings["sampling"]["max_tokens"]), int(str(SAMPLING["max_tokens"])))
        left = int(settings["max_model_len"]) - answer
        return min(left, int(settings.get("max_context_tokens") or left))
    except (KeyError, TypeError) as error:
        raise ValueError(f"settings.json does not limit the length of a prompt: {error!r}") from None


def _question(number: int, size: int) -> Question:
    """Return a question whose every sentence is unique, so that no other can take its place."""
    passages = [_passage(f"Note {number}-{place}:", size) for place in range(1, PASSAGES + 1)]
    return Question(f"Which gauge of hall {number} is read first?", passages)


def _full(question: Question, number: int, served: Served) -> Question:
    """Return the question with metadata, and every second one with a turn before it, if the step has inputs for them.

    A step of an older build has neither.
    """
    inputs = {tensor.name for tensor in served.inputs}
    if "metadata" in inputs:
        titles = [f"Plan {number}-{place}" for place in range(1, PASSAGES + 1)]
        question = question._replace(metadata=[{"title": title, "url": f"https://{title[-3:]}"} for title in titles])
    if MESSAGES in inputs and number % 2:
        turns = [("user", f"Who reads in hall {number}?"), ("assistant", f"Shift {number} of that hall.")]
        question = question._replace(turns=[{"role": role, "content": content} for role, content in turns])
    return question


def _passage(head: str, size: int) -> str:
    mark = head.removeprefix("Note ").removesuffix(":")
    sentences = (
        f" In step {step} of plan {mark}, gauge {step * 7 + 3} shows {step * 13 + 5} bar." for step in range(60)
    )
    return (head + "".join(sentences))[: size - 1].rstrip().ljust(size, ".")


def _case(served: Served, question: Question, judge: Judge, what: str) -> Case:
    inputs = [given(served, "query", question.query), given(served, "passages", list(question.passages))]
    if question.metadata:
        inputs.append(given(served, "metadata", [json.dumps(said) for said in question.metadata]))
    if question.turns:
        inputs.append(given(served, MESSAGES, json.dumps(question.turns)))
    request = ask(served, [*inputs, *controls(served)])
    whole = both(well_formed(served), judge)
    return Case(Check.PROMPT, request, whole, served.at, what, compared=Severity.ERROR)


def _text(reply: Reply) -> str:
    return "".join(text(value) for value in joined(reply).get("prompt", []))


def _holds(question: Question) -> Judge:
    def judge(reply: Reply) -> Iterator[Flaw]:
        lacking = _lacking(_text(reply), [("the query", question.query), ("passage 1", question.passages[0])])
        if lacking:
            expected = f"a prompt with {question.query!r} and {question.passages[0]!r}"
            yield Flaw(f"the prompt {', '.join(lacking)}", TEMPLATES, expected)

    return judge


def _is(prompt: str, question: Question, system: str) -> Judge:
    """Return the judge that accepts only this prompt, and says which part of it is missing."""
    numbered = [(f"passage {number}", passage) for number, passage in enumerate(question.passages, 1)]
    turns = [(f"the earlier turn of the {turn['role']}", turn["content"]) for turn in question.turns]
    titles = [(f"title {number}", str(said["title"])) for number, said in enumerate(question.metadata, 1)]
    parts = [("the system message", system), *turns, ("the query", question.query), *numbered, *titles]
    parts = [(name, part) for name, part in parts if part and part in prompt]  # a template may leave some out

    def judge(reply: Reply) -> Iterator[Flaw]:
        written = _text(reply)
        if written == prompt:
            yield from _controlled(reply, question)
            return
        pairs = enumerate(zip(written, prompt, strict=False))
        at = next((n for n, (one, other) in pairs if one != other), min(len(written), len(prompt)))
        start, end = max(0, at - AROUND), at + AROUND
        lacking = _lacking(written, parts)
        differs = f"has {written[start:end]!r} at character {start}, which its templates do not produce"
        expected = f"a prompt of {len(prompt)} characters, with {prompt[start:end]!r} at character {start}"
        yield Flaw(f"the prompt {', '.join(lacking) or differs}", TEMPLATES, expected)

    return judge


def _controlled(reply: Reply, question: Question) -> Iterator[Flaw]:
    """Yield what is wrong with the controls that the step passes on to the language model with a right prompt."""
    given = joined(reply)
    for name, (_, sent) in CONTROLS.items():
        if name not in given or not given[name].size:
            continue
        value = given[name].tolist()[0]
        flaw = _sampled(name, text(value)) if isinstance(sent, str) else None
        if not isinstance(sent, str) and value != sent:
            flaw = f"{name} was sent as {sent}, but is passed on as {value}"
        if flaw:
            yield Flaw(flaw, PASSED)
            return
    places = [place for place, passage in enumerate(question.passages, 1) if passage in _text(reply)]
    used = int(given["used"][0]) if "used" in given and given["used"].size else 0
    if places and "used" in given and used != max(places):
        yield Flaw(f"used is {used}, but the last passage in the prompt is passage {max(places)}", TEMPLATES)


def _sampled(name: str, passed: str) -> str:
    """Return what is wrong with the sampling parameters that are passed on; "" if each that was sent is there."""
    try:
        found = json.loads(passed)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return f"{name} is passed on as {passed[:80]!r}, which is not a JSON object"
    return next(
        (
            f"{key} was sent as {value}, but is passed on as {found.get(key)}"
            for key, value in SAMPLING.items()
            if found.get(key) != value
        ),
        "",
    )


def _lacking(written: str, parts: Sequence[tuple[str, str]]) -> list[str]:
    """Return, for each part that is missing or incomplete, that the prompt lacks it or where it cuts it off."""
    said = []
    for name, part in parts:
        if part in written:
            continue
        left = bisect_left(range(1, len(part) + 1), 1, key=lambda n: part[:n] not in written)
        cut = left > len("Note 0-0:") and name.startswith("passage")
        said.append(f"cuts {name} after {left} of its {len(part)} characters" if cut else f"lacks {name}")
    return said
