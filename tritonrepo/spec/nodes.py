"""The text of a stack file or a Kubernetes manifest parsed into nodes with positions.

All values keep the text as typed, such as `on`, `yes` and `26.07`; a duplicate key, a tab, a loop or an alias bomb is a
fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml
from yaml.reader import ReaderError

from tritonrepo.diagnostics import Span, Stop, fatal, line_and_column
from tritonrepo.spec.composing import REMOVE, KubectlLoader, Loader, Many

MAX_BYTES = 4 << 20
MAX_NODES = 50_000
BYTES_PER_NODE = 8
"""A larger file can have more values, one for so many bytes. PyYAML needs up to a kilobyte of memory for each."""

MAX_DEPTH = 60


class Kind(NamedTuple):
    """A kind of file: the name that its faults have, what messages call it, how it is read, and the hint about tags.

    `needs` is what a file has at least, and `first` what it can begin with.
    """

    rule: str
    what: str
    loader: type[Loader]
    tags: str
    needs: str = "name and models"
    first: str = "name: my-stack"


STACK = Kind(
    "stack-syntax",
    "stack file",
    Loader,
    "Remove the tag. The only tags are !append, on a list, and !remove, in place of a value.",
)
MANIFEST = Kind("manifest-syntax", "manifest", KubectlLoader, "Remove the tag: Kubernetes has none.")
RULE = STACK.rule
MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: the text as typed, and whether YAML 1.2 reads it as str, int, float, bool or null.

    The kind `!remove` is that of a value with this tag, which removes the key that an earlier file set.
    """

    at: Span
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; `append` if it was tagged `!append`, to extend an earlier file's list instead of replacing it."""

    at: Span
    items: tuple[Node, ...]
    append: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping in the order typed: key → (place of the key, value)."""

    at: Span
    keys: dict[str, tuple[Span, Node]]


Node = Scalar | Items | Keys


def paths(node: Node) -> set[str]:
    """Return the files that a node comes from."""
    inner: list[Node] = [value for _, value in node.keys.values()] if isinstance(node, Keys) else []
    inner += node.items if isinstance(node, Items) else ()
    return {node.at.path}.union(*map(paths, inner))


def parse(content: bytes, path: str, kind: Kind = STACK) -> Keys:
    """Return the mapping at the top of a file; raise Stop with the place of what cannot be parsed."""
    found = _File(content, path, kind)
    root = found.composed(lambda loader: loader.get_single_node())
    if root is None:
        raise fatal(kind.rule, path, f"the {kind.what} is empty", f"Add at least {kind.needs}.")
    node = found.converted(root)
    if not isinstance(node, Keys):
        message = f"the {kind.what} must be a mapping of keys to values"
        raise fatal(kind.rule, node.at, message, f"Start it with a key, such as `{kind.first}`.")
    return node


def documents(content: bytes, path: str) -> tuple[Keys, ...]:
    """Return the documents of a manifest that are not empty; raise Stop with the place of what cannot be parsed."""
    found = _File(content, path, MANIFEST)
    nodes = [found.converted(root) for root in found.composed(_all)]
    nodes = [node for node in nodes if not (isinstance(node, Scalar) and node.kind == "null")]
    for node in nodes:
        if not isinstance(node, Keys):
            message = "each document of a manifest must be a mapping of keys to values"
            raise fatal(MANIFEST.rule, node.at, message, "Start it with apiVersion and kind.")
    return tuple(node for node in nodes if isinstance(node, Keys))


def _all(loader: Any) -> list[Any]:
    found = []
    while loader.check_node():
        found.append(loader.get_node())
    return found


class _File:
    """A text of YAML that is composed and then converted; aliases of all documents count together."""

    def __init__(self, content: bytes, path: str, kind: Kind) -> None:
        self.text, self.path, self.kind = _decoded(content, path, kind), path, kind
        self.most = max(MAX_NODES, len(content) // BYTES_PER_NODE)
        self._converter = _Converter(path, self.most, kind, marked=self.text.startswith("\ufeff"))

    def composed(self, compose: Callable[[Any], Any]) -> Any:
        """Return what is composed of the text; raise Stop if it is not YAML."""
        path, rule = self.path, self.kind.rule
        try:
            return compose(self.kind.loader(self.text, 2 * self.most))
        except Many as error:
            message = f"the file has more than {2 * self.most:,} keys and values"
            raise fatal(rule, _at(error, path), message, "Check that this is the right file.") from None
        except yaml.MarkedYAMLError as error:
            raise _syntax(error, path, rule) from None
        except ReaderError as error:
            raise _unprintable(self.text, error.position, path, rule) from None
        except RecursionError:
            raise fatal(rule, path, f"the file is nested deeper than {MAX_DEPTH} levels") from None

    def converted(self, root: Any) -> Node:
        """Return a node of PyYAML as one of ours."""
        return self._converter.convert(root, 0)


def _decoded(content: bytes, path: str, kind: Kind) -> str:
    if len(content) > MAX_BYTES:
        message = f"the {kind.what} has more than {MAX_BYTES:,} bytes"
        raise fatal(kind.rule, path, message, "Check that this is the right file.")
    try:
        return content.decode("utf-8")  # PyYAML skips a byte order mark and does not count it in columns
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        at = Span(path, *line_and_column(before, len(before)))
        message = f"the {kind.what} is not valid UTF-8 at byte {error.start}"
        raise fatal(kind.rule, at, message, "Save it as UTF-8 text.") from None


def _at(error: yaml.MarkedYAMLError, path: str) -> Span:
    mark = error.problem_mark or error.context_mark
    return Span(path, mark.line + 1, mark.column + 1) if mark else Span(path)


def _syntax(error: yaml.MarkedYAMLError, path: str, rule: str) -> Stop:
    at, problem = _at(error, path), error.problem or "syntax error"
    if str(error.context).startswith("found duplicate anchor"):
        return fatal(rule, at, "the anchor is set twice", "Give one of them another name.")
    if "unexpected end of stream" in problem and error.context_mark:
        at = Span(path, error.context_mark.line + 1, error.context_mark.column + 1)
        return fatal(rule, at, "the quote is never closed", "Close it where the text ends.")
    if "'\\t'" in problem:
        return fatal(rule, at, "YAML cannot be indented with a tab", "Use spaces.")
    return fatal(rule, at, f"the file is not valid YAML: {' '.join(filter(None, (error.context, problem)))}")


def _unprintable(text: str, index: int, path: str, rule: str) -> Stop:
    mark = len(text) - len(text.removeprefix("\ufeff"))
    at = Span(path, *line_and_column(text[mark:], index - mark))
    message = f"the text contains U+{ord(text[index]):04X}, which YAML does not allow"
    binary = "Save the file as UTF-8 text." if text[index] == "\0" else "Remove the character."
    return fatal(rule, at, message, binary)


def refuse_unwritable(text: str, at: Span, rule: str = RULE) -> None:
    """Raise Stop for what escapes can name but paths and UTF-8 cannot hold: NUL, and halves of surrogate pairs."""
    wrong = next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if wrong is not None:
        raise fatal(
            rule,
            at,
            f"the text contains U+{ord(wrong):04X}, which cannot be written to a file",
            "Remove the character.",
        )


class _Converter:
    """Converts PyYAML's nodes to ours and counts them, so that aliases cannot multiply without limit."""

    def __init__(self, path: str, most: int, of: Kind, *, marked: bool) -> None:
        """`marked`: the first line begins with a byte order mark, which its columns do not count."""
        self.path = path
        self.of = of
        self.marked = marked
        self.most = most
        self.left = most

    def convert(self, node: Any, depth: int) -> Node:
        at = self.span(node)
        self.left -= 1
        if self.left < 0:
            message = f"the file expands to more than {self.most:,} values"
            raise fatal(self.of.rule, at, message, "Check for aliases (`*name`) that multiply.")
        if depth > MAX_DEPTH:
            message = f"the file is nested deeper than {MAX_DEPTH} levels"
            raise fatal(self.of.rule, at, message, "Check that no alias contains itself.")
        if node.tag == REMOVE and self.of is STACK:
            return self.removed(node, at)
        if isinstance(node, yaml.ScalarNode):
            refuse_unwritable(node.value, at, self.of.rule)
            return Scalar(at, node.value, self.kind(node))
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.item(item, depth + 1) for item in node.value)
            return Items(at, items, append=self.tag(node, {"!append"} if self.of is STACK else set()) == "!append")
        self.tag(node, set())
        keys = dict(self.pairs(node, depth))
        return Keys(at, _merged(keys) if self.of is MANIFEST and MERGE in keys else keys)

    def item(self, node: Any, depth: int) -> Node:
        if node.tag == REMOVE:
            hint = "Write the list without the item; a later list replaces an earlier one."
            raise fatal(self.of.rule, self.span(node), f"the tag {REMOVE} removes a key, not an item of a list", hint)
        return self.convert(node, depth)

    def removed(self, node: Any, at: Span) -> Scalar:
        if node.value:
            raise fatal(
                self.of.rule, at, f"the tag {REMOVE} cannot be combined with a value", "Remove the tag or the value."
            )
        return Scalar(at, "", REMOVE)

    def pairs(self, node: Any, depth: int) -> Iterator[tuple[str, tuple[Span, Node]]]:
        seen: dict[str, Span] = {}
        for key, value in node.value:
            at = self.span(key)
            if not isinstance(key, yaml.ScalarNode):
                raise fatal(self.of.rule, at, "a key must be a plain name, not a list or a mapping")
            refuse_unwritable(key.value, at, self.of.rule)
            if key.value in seen:
                hint = f"Remove this one or the one on line {seen[key.value].line}."
                raise fatal(self.of.rule, at, f'key "{key.value}" is set twice', hint)
            seen[key.value] = at
            yield key.value, (at, self.convert(value, depth + 1))

    def kind(self, node: Any) -> str:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind not in {"str", "int", "float", "bool", "null"}:
            raise fatal(self.of.rule, self.span(node), f"the tag {node.tag} is not supported here", self.of.tags)
        return str(kind)

    def tag(self, node: Any, known: set[str]) -> str:
        tag = str(node.tag)
        if tag.startswith("!") and tag not in known:
            raise fatal(self.of.rule, self.span(node), f"the tag {tag} is not supported here", self.of.tags)
        return tag

    def span(self, node: Any) -> Span:
        start, end = node.start_mark, _end(node)
        marked = start.line == 0 and self.marked
        known = (end.line + 1, end.column + 1) if end.index > start.index and not marked else (0, 0)
        return Span(self.path, start.line + 1, start.column + 1, *known)


def _merged(keys: dict[str, tuple[Span, Node]]) -> dict[str, tuple[Span, Node]]:
    """Return keys with those of the mappings that `<<` names; its own come first."""
    own = {name: found for name, found in keys.items() if name != MERGE}
    value = keys[MERGE][1]
    for each in value.items if isinstance(value, Items) else (value,):
        own = (each.keys | own) if isinstance(each, Keys) else own
    return own


def _end(node: Any) -> Any:
    """Return where a node ends; PyYAML's own end mark of a block is where the next thing begins, maybe lines below.

    An alias has the position of its anchor, so a node that ends in one has no known end: before its start, or short.
    """
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        inner = last[1] if isinstance(last, tuple) else last
        if inner.start_mark.index <= node.start_mark.index:
            return inner.start_mark
        node = inner
    return node.end_mark
