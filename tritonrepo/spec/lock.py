"""tritonrepo.lock: the digests of what a build read, and the version numbers of each model's contents.

The same stack file and the same lock give the same model repository, byte for byte. `spec.lock_text` is its form on
disk.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

SCHEMA = 2
ANY = "any"
"""The processor of a file that is the same for all of them."""

ARCHES = ("aarch64", "x86_64")
LARGEST = (1 << 63) - 1
"""Triton counts versions in 64 bits (core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad)."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A source's content: a wheel's file name and SHA-256, the SHA-256 of a directory's tree, or a Hub revision.

    `size` is the bytes of that wheel or of all files of that directory; 0 if it is not known.
    """

    sha256: str = ""
    file: str = ""
    revision: str = ""
    size: int = 0

    @property
    def arch(self) -> str:
        """The processor that the file is for, by the platform tags in a wheel's name (PEP 427)."""
        name = self.file.removesuffix(".whl")
        return next((arch for arch in ARCHES if name != self.file and name.endswith(arch)), ANY)


@dataclass(frozen=True, slots=True)
class Index:
    """A search index: the digests of what it was built from, and of its files.

    `chunks` says how documents were cut, empty for the default.
    """

    documents: str
    embedder: str
    embeddings: str
    passages: str
    chunks: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """The number of a model's version directory, and the digest of its content; the other numbers with theirs.

    A number without a digest is taken by content that is not known, or that has another number now.
    """

    version: int
    content: str
    others: Mapping[int, str] = field(default_factory=dict)

    @property
    def known(self) -> dict[int, str]:
        """All numbers, ascending, with the digests of their contents."""
        return dict(sorted({**self.others, self.version: self.content}.items()))

    def having(self, content: str) -> Version:
        """Return the version of this content: it keeps its number, or gets the next one above all that were used.

        Above the largest possible one, it is the highest that was never used.
        """
        known = self.known
        number = next((number for number, digest in known.items() if digest == content), max(known) + 1)
        if number > LARGEST:
            number = next(number for number in range(LARGEST, 0, -1) if number not in known)
        return numbered({**known, number: content}, number)

    def forgetting(self) -> Version:
        """Return a version whose numbers are all taken, so that any content gets the next one."""
        return numbered(dict.fromkeys(self.known, ""), self.version)

    def remembering(self, before: Version) -> Version:
        """Return this version with the digests of an earlier one, except for that of its own content."""
        others = {number: "" if digest == self.content else digest for number, digest in before.known.items()}
        return numbered({**self.known, **others, self.version: self.content}, self.version)

    def learning(self, there: Mapping[int, str]) -> Version:
        """Return the version with these numbers, too, which count if both know a number or a content."""
        contents = {*there.values()}
        known = {number: "" if digest in contents else digest for number, digest in self.known.items()}
        known |= there
        return numbered(known, self.version if known[self.version] == self.content else max(known))


def distinct(contents: Mapping[int, str], first: Collection[int] = ()) -> dict[int, str]:
    """Return numbers with each digest once: at the highest number, or one of the `first` ones."""
    chosen = {contents[number]: number for number in sorted(contents, key=lambda number: (number in first, number))}
    return {number: digest if chosen[digest] == number else "" for number, digest in sorted(contents.items())}


def given(before: Version | None, contents: Mapping[int, str]) -> Version:
    """Return the version of a model whose numbers are given with their contents; the current one is the highest."""
    newest = max(contents)
    own = distinct(contents)
    return numbered((before.learning(own) if before else numbered(own, newest)).known, newest)


def numbered(known: Mapping[int, str], version: int) -> Version:
    """Return the version with this one of these numbers."""
    return Version(version, known[version], {number: known[number] for number in sorted(known) if number != version})


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything that is pinned, sources by processor; `schema` is that of its text, 0 if that must be rewritten."""

    sources: Mapping[str, Mapping[str, Pin]] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    models: Mapping[str, Version] = field(default_factory=dict)
    schema: int = field(default=SCHEMA, compare=False)

    def pins(self, arch: str) -> dict[str, Pin]:
        """Return what a server with this processor gets of each source."""
        found = {source: pins.get(arch, pins.get(ANY)) for source, pins in self.sources.items()}
        return {source: pin for source, pin in found.items() if pin is not None}

    def pinned(self, pins: Mapping[str, Pin]) -> dict[str, Mapping[str, Pin]]:
        """Return these sources, pinned; what other processors get of them stays."""
        return {source: self._pinned(source, pin) for source, pin in pins.items()}

    def _pinned(self, source: str, pin: Pin) -> dict[str, Pin]:
        others = {} if pin.arch == ANY else self.sources.get(source, {})
        return {arch: other for arch, other in others.items() if arch != ANY} | {pin.arch: pin}

    def agrees(self, now: Lock) -> bool:
        """Whether a later lock says nothing else; locks of schema 1 have no sizes."""
        return self == (now if self.schema != 1 else replace(now, sources=_unsized(now.sources)))


def _unsized(sources: Mapping[str, Mapping[str, Pin]]) -> dict[str, dict[str, Pin]]:
    return {source: {arch: replace(pin, size=0) for arch, pin in pins.items()} for source, pins in sources.items()}


def joined(ours: Lock, theirs: Lock) -> Lock:
    """Return the lock of both sides of a merge: ours, and what only theirs has.

    A number that both gave to different contents is taken by neither, so their model gets the next one.
    """
    models = {**theirs.models, **ours.models}
    for name in ours.models.keys() & theirs.models.keys():
        models[name] = _shared(ours.models[name], theirs.models[name])
    sources = {
        source: {**theirs.sources.get(source, {}), **ours.sources.get(source, {})}
        for source in {**theirs.sources, **ours.sources}
    }
    return Lock(sources, {**theirs.indexes, **ours.indexes}, models, schema=0)


def _shared(ours: Version, theirs: Version) -> Version:
    """Return the version that knows the numbers of both; of two numbers of one content, the lower one counts."""
    mine, other, known, seen = ours.known, theirs.known, dict[int, str](), set[str]()
    for number in sorted({*mine, *other}):
        digest = mine.get(number, other.get(number, ""))
        taken = number in mine and number in other and mine[number] != other[number]
        known[number] = "" if taken or digest in seen else digest
        seen.add(known[number])
    return numbered(known, ours.version if known[ours.version] == ours.content else max(known))
