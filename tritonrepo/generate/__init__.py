"""A stack and its files made into the tree of a model repository; nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.generate import ensemble as ensembles
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.inputs import Inputs
from tritonrepo.spec.lock import Version


def generate(inputs: Inputs, numbers: Mapping[str, Version]) -> Draft:
    """Return the repository's tree and the version number of each model, callees first.

    `numbers` are those of the lock: content that the lock knows keeps its number.
    """
    draft, stack = Draft(numbers), inputs.stack
    for name, model in stack.models.items():
        stack.part(name).make(name, model, draft, inputs)
    for name in stack.ensembles:
        ensembles.add(draft, name, stack)
    return draft
