"""Python environments that are packed in a file of the model; 24.10 was asked about each kind of file."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.rules.layout.archives import packed
from tritonrepo.rules.layout.tars import READ
from tritonrepo.tree import of_bytes

CONFIG = """backend: "python"
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/e.tar.gz" } }
"""
SOURCE = b"class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
BROKEN, EMPTY = "python-env-archive", "execution-env-not-activated"


class Case(NamedTuple):
    """A file, the rule that refuses it, and what the message says."""

    content: bytes
    rule: str = ""
    said: str = ""


def tar(*names: str, mode: str = "w:gz", form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    found: bytes = out.getvalue()
    return found


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("bin/activate", "")
    return out.getvalue()


LONG = f"lib/{'x' * 200}"
CASES = {
    "packed": Case(tar("lib/x", "bin/activate")),
    "not compressed": Case(tar("bin/activate", mode="w")),
    "with dots": Case(tar("./bin/activate")),
    "without the script": Case(tar("lib/x"), EMPTY, "does not contain bin/activate"),
    "one directory too deep": Case(tar("env/bin/activate"), EMPTY, "does not contain bin/activate"),
    "without files": Case(tar(), EMPTY),
    "with names that are too long for a header": Case(tar(LONG, "bin/activate")),
    "with only such names": Case(tar(LONG), EMPTY),
    "with other headers": Case(tar(LONG, form=tarfile.PAX_FORMAT), EMPTY),
    "without its end": Case(gzip.compress(tar("lib/x", mode="w")[:600])),
    "a ZIP archive": Case(zipped(), BROKEN, "is a ZIP archive, not"),
    "nothing": Case(b"", BROKEN, "is empty, not"),
    "a text": Case(b"hello", BROKEN, "is not an archive, not"),
    "a text in gzip": Case(gzip.compress(b"hello"), BROKEN, "is not an archive, not"),
    "nothing in gzip": Case(gzip.compress(b""), BROKEN),
    "a pointer": Case(b"version https://git-lfs.github.com/spec/v1\n", BROKEN, "is a Git LFS pointer, not"),
    "bzip2": Case(tar("bin/activate", mode="w:bz2"), BROKEN, "is compressed with bzip2, not"),
    "xz": Case(tar("bin/activate", mode="w:xz"), BROKEN, "is compressed with xz, not"),
}


@tabled("case", CASES.values(), ids=CASES)
def test_what_is_said_about_a_packed_environment(case: Case) -> None:
    files = {"m/config.pbtxt": CONFIG.encode(), "m/1/model.py": SOURCE, "m/e.tar.gz": case.content}
    found = judged({path: of_bytes(content) for path, content in files.items()})
    (verdict,) = found.verdicts
    assert verdict.rule == case.rule
    said = [each for each in found.diagnostics if each.rule in {BROKEN, EMPTY}]
    assert [each.at.line for each in said] == ([4] if case.rule else [])
    assert all(case.said in each.message for each in said)


def test_only_the_beginning_of_a_large_file_is_read() -> None:
    large = tar(*(f"lib/{number}" for number in range(4_000)), mode="w")
    assert len(large) > READ
    assert packed(of_bytes(large)).wrong == ""
    assert not packed(of_bytes(large)).whole


@given(st.binary(max_size=2_000))
def test_no_file_raises_anything(content: bytes) -> None:
    for each in (content, gzip.compress(content), tar("lib/x", mode="w")[:512] + content, tar("x", mode="w")[:100]):
        packed(of_bytes(each))
