"""A stack and its files to the tree of a model repository; reads and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.generate import ensemble as ensembles
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.inputs import Inputs
from tritonrepo.generate.roles import embedder, generator, retriever
from tritonrepo.spec.lock import Version
from tritonrepo.spec.stack import Embedder, Generator, Retriever, Stack


def generate(stack: Stack, inputs: Inputs, numbers: Mapping[str, Version]) -> Draft:
    """Give the repository's tree and the version number of each model, callees first.

    `numbers` is what the lock knows: content that it knows keeps its number.
    """
    draft = Draft(numbers)
    for name, model in stack.models.items():
        match model:
            case Embedder():
                embedder.add(draft, name, model, inputs)
            case Retriever():
                retriever.add(draft, name, model, stack, inputs)
            case Generator():
                generator.add(draft, name, model, stack.target.release)
                generator.add_prompt(draft, name, stack, inputs)
    for name, ensemble in stack.ensembles.items():
        ensembles.add(draft, name, ensemble)
    return draft
