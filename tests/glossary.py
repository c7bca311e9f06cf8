"""A role that no module of the package knows: a glossary, which explains words in the query and the passages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tritonrepo.diagnostics import Diagnostic, Severity, fatal
from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, vendored
from tritonrepo.generate.inputs import Inputs
from tritonrepo.smoke.case import Case, Check, Flaw, Reply
from tritonrepo.smoke.judge import both, text, well_formed
from tritonrepo.smoke.made import ask, given
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import Served
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.declare import key, places
from tritonrepo.spec.part import Part, Places, Port, Step, below, origin, wrong
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Instances, Stack
from tritonrepo.tree import File, of_bytes, of_text

STEP = """
import json
import os
import sys

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        here = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            self.words = json.load(f)
        sys.path.insert(0, os.path.join(args["model_repository"], self.words.pop("packages")))
        from markupsafe import escape

        self.escape = escape
        with open(os.path.join(here, "words.txt"), encoding="utf-8") as f:
            self.words |= dict(line.strip().split(": ", 1) for line in f)

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        texts = [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in ("query", "passages")]
        loud = pb_utils.get_input_tensor_by_name(request, "loud")
        said = " ".join(value.decode() for values in texts for value in values.ravel()).lower()
        found = [str(self.escape(f"{word}: {means}")) for word, means in self.words.items() if word in said]
        found = [line.upper() for line in found] if loud is not None and loud.as_numpy().ravel()[0] else found
        return pb_utils.InferenceResponse([pb_utils.Tensor("lines", np.array([f.encode() for f in found], object))])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glossary:
    """Words and what they mean."""

    role: Literal["glossary"] = key("role of the model")
    source: Source = key("text file with lines such as `word: what it means`")
    words: Mapping[str, Any] = key("further words", {})
    instances: Instances = key("copies of the step", Instances(kind="cpu"))
    places: Places = places()


def _check(name: str, model: Glossary, _: Stack) -> Iterator[Diagnostic]:
    if "" in model.words:
        yield wrong(model.places, "words", f'"{name}" explains an empty word', "Remove the empty word.")


def _gather(_: str, model: Glossary, gathering: Gathering) -> File:
    found = list(gathering.resolve(model.source, model.places["source"]).values())
    if len(found) != 1:
        raise fatal("glossary-source", model.places["source"], f"the source must contain one file, not {len(found)}")
    return found[0]


def _doubts(_: str, model: Glossary, __: Gathering) -> Iterator[Diagnostic]:
    if not model.words:
        yield Diagnostic(
            "glossary-thin", Severity.WARNING, model.places[""], "the glossary has only the words of its source"
        )


def _make(name: str, model: Glossary, draft: Draft, inputs: Inputs) -> None:
    packages = draft.share(name, vendored(inputs.vendored, PART.vendored))
    content = {
        "model.py": of_text(STEP),
        "settings.json": json_file({**model.words, "packages": packages}),
        "words.txt": inputs.files[name],
    }
    version = draft.number(name, content)
    draft.explain(name, "settings.json", below(model.places, "words"))
    ports = Ports(PART.takes, (Port("lines", "STRING", (-1,)),))
    message = config.config(name, "python", version, 0, ports, instance_group=config.instance_group(model.instances))
    draft.configure(name, message, origin(model.places, instance_group=model.instances.places.get("gpus")))


def _cases(served: Served, known: Known) -> Iterator[Case]:
    model = known.models.get(served.name)
    if model is None or not model.has("words.txt"):
        return
    word, means = model.file(served.version, "words.txt").content().decode().splitlines()[0].split(": ")

    def explains(reply: Reply) -> Iterator[Flaw]:
        said = [text(value) for value in reply.responses[0]["lines"].values.ravel().tolist()]
        if f"{word}: {means}" not in said:
            yield Flaw(f'"{word}" is not explained')

    request = ask(served, [given(served, "query", f"What is a {word}?"), given(served, "passages", "None.")])
    yield Case(Check.REFERENCE, request, both(well_formed(served), explains), served.at, f'"{word}"')


PART = Part(
    keys=Glossary,
    takes=(
        Port("query", "STRING", (1,)),
        Port("passages", "STRING", (-1,)),
        Port("loud", "BOOL", (1,), optional=True),
    ),
    gives=(Port("answer", "STRING", (-1,)),),
    steps=(Step("", {"query": "query", "passages": "passages", "loud": "loud"}, {"lines": "answer"}),),
    vendored=frozenset({"markupsafe"}),
    untrue=frozenset({"glossary-thin"}),
    check=_check,
    gather=_gather,
    stand_in=lambda _: of_bytes(b""),
    doubts=_doubts,
    make=_make,
    cases=_cases,
)
