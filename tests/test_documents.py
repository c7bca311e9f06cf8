"""Documents in files: Markdown, HTML and plain text, whole directories of them, and what is not read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonrepo.diagnostics import Span, Stop
from tritonrepo.indexing import files
from tritonrepo.indexing.documents import Document, DocumentFile

CODE = """\
```sh
# no
``` x
# no
````
~~~
no
===
```
~~~~
    # no
   # [Yes](u "t") {#yes}
#no
####### no"""
MARKDOWN: Mapping[str, tuple[str, str, dict[str, Any], list[tuple[int, str]]]] = {
    "text alone": ("One line.\n", "One line.", {}, []),
    "the title is the first heading": (
        "# Setup `a_b`\n\nText.\n\n## On **Linux** ##\n",
        "# Setup `a_b`\n\nText.\n\n## On **Linux** ##",
        {"title": "Setup a_b"},
        [(1, "Setup a_b"), (2, "On Linux")],
    ),
    "front matter": (
        ("---\n# about\ntitle: Front\nurl: https://example.com/a\nrank: 3\nold: false\nby: null\n"
        "tags: [a, b]\n---\n\n# H\nx\n"),
        "# H\nx",
        {"title": "Front", "url": "https://example.com/a", "rank": 3, "old": False, "by": None, "tags": ["a", "b"]},
        [(1, "H")],
    ),
    "front matter that ends in dots, of a file with a byte order mark": (
        "\ufeff---\r\nurl: x\r\n...\r\ny\r\n",
        "y",
        {"url": "x"},
        [],
    ),
    "thematic breaks": ("---\n\nA break: nothing more\n\n---\n", "---\n\nA break: nothing more\n\n---", {}, []),
    "front matter that never ends": ("---\nurl: x\n", "---\nurl: x", {}, []),
    "underlined headings": (
        "Top\n===\nx\n\nSub\n---\n- item\n---\n> q\n---\n",
        "Top\n===\nx\n\nSub\n---\n- item\n---\n> q\n---",
        {"title": "Top"},
        [(1, "Top"), (2, "Sub")],
    ),
    "no headings in code": (
        f"{CODE}\n",
        CODE,
        {"title": "Yes"},
        [(1, "Yes")],
    ),
    "a heading without a title": ("#\n\n## ##\nx\n", "#\n\n## ##\nx", {}, [(1, ""), (2, "")]),
}  # fmt: skip


def only(name: str, content: str | bytes, place: Path) -> Document:
    """Return the document of a file with this content."""
    path = place / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (found,) = files.read([DocumentFile(path, f"below/{name}")]).all
    return found


@pytest.mark.parametrize(("text", "kept", "known", "headings"), MARKDOWN.values(), ids=MARKDOWN)
def test_markdown_is_kept_as_it_is_with_its_headings_and_its_front_matter_as_metadata(
    text: str, kept: str, known: dict[str, Any], headings: list[tuple[int, str]], tmp_path: Path
) -> None:
    found = only("a.md", text, tmp_path)
    assert (found.id, found.text, found.metadata) == ("below/a", kept, known)
    assert [(each.level, each.title) for each in found.headings] == headings
    for each in found.headings:
        line = found.text[each.start : each.end]
        assert each.title.split(" ")[0] in line.replace("`", "").replace("**", "")
        assert found.text[each.end : each.end + 1] in {"\n", ""}


PAGES: Mapping[str, tuple[str | bytes, str, dict[str, Any], list[tuple[int, str]]]] = {
    "a page": (
        ("<!DOCTYPE html><html><head><meta charset=utf-8><title>Guide &amp;\n more</title>"
        '<link rel="canonical" href="https://example.com/g"></head><body><h1>The <em>guide</em></h1>'
        "<p>One&nbsp;&lt;line&gt;\n of text.</p><p>Two<br>lines</p><h3>On Linux</h3>x</body></html>"),
        "The guide\n\nOne <line> of text.\n\nTwo\nlines\n\nOn Linux\n\nx",
        {"title": "Guide & more", "url": "https://example.com/g"},
        [(1, "The guide"), (3, "On Linux")],
    ),
    "without a head, the title is the first heading of level 1": (
        "<h2>Before</h2><h1>Top</h1>x", "Before\n\nTop\n\nx", {"title": "Top"}, [(2, "Before"), (1, "Top")],
    ),
    "what is not seen": (
        ("<script>if (a < b) '<p>no</p>'</script><style>p {}</style><nav><ul><li>no</ul></nav><template>no</template>"
        "<div hidden>no<p>no</div><p style='color: red; display : none'>no<p aria-hidden=true>no<p>yes"
        "<svg><title>no</title><path/></svg><!-- no --><noscript>no</noscript><button>no</button>"),
        "yes", {}, [],
    ),
    "lists, tables and code": (
        "<ul><li>one<li><b>two</b></ul><table><tr><th>a<th>b<tr><td>1<td>2</table><pre>\n  x\n\n   y</pre>z",
        "- one\n- two\n\na | b\n1 | 2\n\n  x\n\n   y\n\nz", {}, [],
    ),
    "tags that are not closed, or not open": (
        ("</div><p><span hidden>no<p>yes</i></b><ul><li><p hidden>no<li>b</ul>"
        "<h2>open<p>text <![endif]>end</div>.</html>"),
        "yes\n\n- b\n\nopen\n\ntext end.", {}, [(2, "open")],
    ),
    "a head without an end": ("<head><title>T</title>text<p>b", "text\n\nb", {"title": "T"}, []),
    "a body that a script shows": ("<body style='display:none'>text", "text", {}, []),
    "a comment without an end": ("a<!-- b <p>c", "a", {}, []),
    "a tag without an end": ('a<p class="', "a", {}, []),
    "deeply nested": ("<div><span>" * 5000 + "x", "x", {}, []),
    "windows-1252 that calls itself latin1": (
        b"<meta http-equiv=x content='text/html; charset=iso-8859-1'>caf\xe9 \x93x\x94", "café “x”", {}, [],
    ),
    "a byte order mark counts more than what is named": (
        "<meta charset=ascii>é".encode("utf-16"), "é", {}, [],
    ),
    "not a page at all": ("2 < 3 & 4 > 1 &copy; <3", "2 < 3 & 4 > 1 © <3", {}, []),
}  # fmt: skip


@pytest.mark.parametrize(("page", "text", "known", "headings"), PAGES.values(), ids=PAGES)
def test_of_a_page_what_a_browser_shows_is_read(
    page: str | bytes, text: str, known: dict[str, Any], headings: list[tuple[int, str]], tmp_path: Path
) -> None:
    found = only("a.html", page, tmp_path)
    assert (found.text, found.metadata) == (text, known)
    assert [(each.level, found.text[each.start : each.end]) for each in found.headings] == headings


PIECES = st.sampled_from([*"<>!-/ =\"'&#x[]]", "<p", "<!--", "-->", "<![", "</", "script", "<h1>", "<pre>", "\n", "é"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_page_and_no_markdown_breaks_the_readers(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    place = tmp_path_factory.getbasetemp()
    for name in ("any.html", "any.md"):
        (place / name).write_text(f"x {text}", "utf-8")
        for each in files.read([DocumentFile(place / name, name)]).all:
            assert all(0 <= h.start <= h.end <= len(each.text) for h in each.headings)


def test_plain_text_is_kept_as_it_is(tmp_path: Path) -> None:
    assert only("a.b.TXT", b"\xef\xbb\xbf# one\r\n two\r", tmp_path) == Document("below/a.b", "# one\n two\n")


WRONG: Mapping[str, tuple[str, bytes, int, str]] = {
    "another encoding": ("a.txt", b"one\ntw\xf6\n", 2, "the line is not valid UTF-8"),
    "another encoding in Markdown": ("a.md", b"\xff\xfeo\0", 1, "the line is not valid UTF-8"),
    "no text at all": ("a.txt", b"one\n\0\1", 2, "the line contains a NUL character"),
    "not what the page names": ("a.html", b"<meta charset=utf-8>\n\n\xe9", 3, "the line is not valid UTF-8"),
    "an encoding that nobody knows": (
        "a.htm", b"<meta charset=klingon>", 0, 'the page names the encoding "klingon", which is unknown',
    ),
    "an encoding of bytes": ("a.htm", b"<meta charset=hex>", 0, 'the page names the encoding "hex", which is unknown'),
    "front matter that is not YAML": (
        "a.md", b"---\ntitle: x\nurl: a: b\n---\nx\n", 3, "in the front matter, the file is not valid YAML: mapping",
    ),
    "a key of front matter twice": ("a.md", b"---\na: 1\na: 2\n---\nx\n", 3, 'in the front matter, key "a" is set'),
    "too much front matter": (
        "a.md", b"---\na: " + b"x" * 70_000 + b"\n---\nx\n", 0, "metadata must have at most 65,536 bytes as JSON",
    ),
    "a number that is none": ("a.md", b"---\na: 1e999\n---\nx\n", 2, "in the front matter, "),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "line", "says"), WRONG.values(), ids=WRONG)
def test_a_file_that_cannot_be_read_is_told_with_its_line_and_so_are_the_others(
    name: str, content: bytes, line: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "z.jsonl").write_text("x\n", "utf-8")
    with pytest.raises(Stop) as stop:
        files.read([DocumentFile(tmp_path / each, each) for each in (name, "z.jsonl")])
    first, second = stop.value.diagnostics
    assert (first.rule, first.at.path, first.at.line) == ("index-documents", str(tmp_path / name), line)
    assert first.message.startswith(says)
    assert first.hint
    assert second.message.startswith("the line is not valid JSON")


def test_a_file_that_is_too_large_is_told(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    with pytest.raises(Stop, match="has 16,777,217 bytes, but a document can have at most 16,777,216"):
        files.read([DocumentFile(tmp_path / "a.txt", "a.txt")])


@pytest.fixture
def stack(tmp_path: Path) -> Span:
    """The place of `documents` in a stack file next to a directory of documents."""
    for name in (
        *("docs/b.md", "docs/a/z.txt", "docs/a/page.HTML", "docs/a.jsonl", "docs/.git/x.md", "docs/a/.hidden.md"),
        *("docs/pic.png", "docs/a/pic.PNG", "docs/a/data.json", "docs/LICENSE", "more/b.md", "x.pdf"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'{{"id": "{name}", "text": "t"}}', "utf-8")
    return Span(str(tmp_path / "tritonrepo.yaml"), 4, 30)


def names(found: files.Files) -> list[str]:
    return [file.name for file in found.all]


def test_a_directory_is_all_that_can_be_read_below_it_and_the_rest_is_counted(stack: Span, tmp_path: Path) -> None:
    for named in ("docs", "./docs/", f"{tmp_path}/docs"):
        found = files.find([named], stack)
        assert names(found) == ["a.jsonl", "a/page.HTML", "a/z.txt", "b.md"]
        assert files.kinds(found.left) == ".png (2), .json (1), no suffix (1)"
    assert [each.id for each in files.read(files.find(["docs"], stack).all).all] == [
        *("docs/a.jsonl", "a/page", "a/z", "b"),
    ]


def test_an_index_below_its_own_documents_is_not_one_of_them(stack: Span, tmp_path: Path) -> None:
    (tmp_path / "docs" / "index").mkdir()
    for name in ("embeddings.npy", "passages.jsonl"):
        (tmp_path / "docs" / "index" / name).touch()
    (tmp_path / "docs" / "passages.jsonl").touch()
    assert names(files.find(["docs"], stack)) == ["a.jsonl", "a/page.HTML", "a/z.txt", "b.md", "passages.jsonl"]


def test_several_are_read_in_their_order_and_each_file_once(stack: Span) -> None:
    found = files.find(["more", "docs/a", "docs/*.md", "docs/**/z.txt", "more/b.md"], stack)
    assert names(found) == ["b.md", "page.HTML", "z.txt", "b.md"]


def test_two_files_with_one_id_are_told_both(stack: Span, tmp_path: Path) -> None:
    with pytest.raises(Stop) as stop:
        files.read(files.find(["docs/b.md", "more"], stack).all)
    (found,) = stop.value.diagnostics
    assert (found.at.path, found.message) == (str(tmp_path / "more" / "b.md"), 'duplicate id "b"')
    assert found.hint == f"Rename this one or the one in {tmp_path / 'docs' / 'b.md'}."


REFUSED: Mapping[str, tuple[list[str], str]] = {
    "a PDF": (["./x.pdf"], "x.pdf cannot be read: files .pdf are not supported"),
    "pictures among others": (["docs/*"], "LICENSE cannot be read: files without a suffix are not supported"),
    "nothing": ([], "documents is empty"),
}


@pytest.mark.parametrize(("patterns", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_in_another_format_is_refused_with_those_that_are_read(
    patterns: list[str], says: str, stack: Span
) -> None:
    with pytest.raises(Stop, match=says) as stop:
        files.find(patterns, stack)
    (found,) = stop.value.diagnostics
    assert found.at == stack
    assert ".md" in found.hint


def test_a_directory_without_documents_is_told_with_what_it_has(stack: Span, tmp_path: Path) -> None:
    (tmp_path / "pics" / "in").mkdir(parents=True)
    (tmp_path / "pics" / "in" / "a.docx").touch()
    with pytest.raises(Stop, match=r"no documents are below .*pics; its files are in other formats: \.docx \(1\)"):
        files.find(["pics"], stack)


def test_links_in_a_directory_are_followed_within_it_and_refused_out_of_it(
    stack: Span, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "docs" / "a" / "up").symlink_to(tmp_path / "docs")
    assert names(files.find(["docs"], stack)) == ["a.jsonl", "a/page.HTML", "a/z.txt", "b.md"]
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.md").touch()
    for link, target in (("out.md", outside / "secret.md"), ("out", outside)):
        (tmp_path / "docs" / link).symlink_to(target)
        with pytest.raises(Stop, match=f"{link} leads out of"):
            files.find(["docs"], stack)
        files.find(["docs"], stack, [outside])
        (tmp_path / "docs" / link).unlink()


def test_a_file_whose_name_is_not_text_is_told(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md"))
    path.write_text("x", "utf-8")
    found = files.find([str(tmp_path)], Span(str(tmp_path / "s.yaml"), 1))
    assert len(files.digest(found.all)) == 64
    with pytest.raises(Stop, match="is not text"):
        files.read(found.all)


CHANGES: Mapping[str, tuple[Callable[[Path], object], bool]] = {
    "a file of another directory": (lambda docs: (docs / "b.md").rename(docs / "a" / "b.md"), True),
    "lines of another directory": (lambda docs: (docs / "a.jsonl").rename(docs / "a" / "a.jsonl"), False),
    "a file in no known format": (lambda docs: (docs / "pic.png").unlink(), False),
}


@pytest.mark.parametrize(("change", "differs"), CHANGES.values(), ids=CHANGES)
def test_the_digest_has_the_directory_of_a_file_if_it_is_part_of_an_id(
    change: Callable[[Path], object], stack: Span, tmp_path: Path, *, differs: bool
) -> None:
    before = files.digest(files.find(["docs"], stack).all)
    change(tmp_path / "docs")
    assert (files.digest(files.find(["docs"], stack).all) != before) == differs
