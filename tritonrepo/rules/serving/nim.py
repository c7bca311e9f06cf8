"""What the NIM Operator is told: the cache that a NIMService names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tritonrepo.diagnostics import Severity, closest
from tritonrepo.manifests.objects import Manifests, Object, find, text
from tritonrepo.manifests.pods import key_at
from tritonrepo.manifests.selecting import is_beside
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Keys

MOST = 100


@manifest_rule("nim-cache-missing", Severity.WARNING, "NIMService")
def nim_cache_missing(of: Object, among: Manifests) -> Iterator[Finding]:
    """A NIMService should name a NIMCache that the files define."""
    cache = find(of.node, "spec.storage.nimCache")
    name = text(cache, "name")
    if not among.whole or not name or not isinstance(cache, Keys) or among.named("NIMCache", name, of.namespace):
        return
    beside = [each.name for each in islice((each for each in among.of("NIMCache") if is_beside(of, each)), MOST)]
    if beside:
        message = f"{of} loads its model from NIMCache {name}, which the files do not define"
        yield Finding(key_at(cache, "name"), message, hint=closest(name, beside))
