"""What a model's packed Python environment says about its imports; 24.10 was asked about environments of its kinds."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages import judged, server
from tests.rules.test_environments import CONFIG
from tests.tabled import tabled
from tritonrepo import repository
from tritonrepo.diagnostics import Unseen
from tritonrepo.repository import Said, target
from tritonrepo.rules import judge
from tritonrepo.rules.layout import tars
from tritonrepo.rules.layout.archives import packed
from tritonrepo.rules.layout.tars import Kind, members, opened
from tritonrepo.rules.unseen import unseen
from tritonrepo.tree import Entry, Outside, of_bytes, of_text, on_disk

ERROR, DOUBT, VERSION = "python-import-error", "python-module-not-in-image", "python-env-version"
CLASS = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
PYTHON = {"bin/activate": "", "bin/python3": "python3.10", "bin/python3.10": "", "lib/python3.10/os.py": ""}
NUMPY = {"lib/python3.10/site-packages/numpy/__init__.py": ""}
SITE = "lib/python3.10/site-packages"
OTHER = {path.replace("3.10", "3.12"): target.replace("3.10", "3.12") for path, target in (PYTHON | NUMPY).items()}
LONG = f"{SITE}/{'x' * 90}/{'y' * 90}/__init__.py"


def archive(files: dict[str, str], form: int = tarfile.PAX_FORMAT, mode: int = 0o755) -> bytes:
    """Return an environment: paths, and where they lead if they are links; `=` before the path of a hard link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=form, compresslevel=1) as made:
        for path, target in files.items():
            each = tarfile.TarInfo(path)
            kind = tarfile.LNKTYPE if target.startswith("=") else tarfile.SYMTYPE
            each.type, each.linkname, each.mode = kind if target else tarfile.REGTYPE, target.removeprefix("="), mode
            each.mtime = 0.5 if form == tarfile.PAX_FORMAT else 0
            made.addfile(each)
    return out.getvalue()


class Row(NamedTuple):
    """An environment, what a source imports, and the rules that speak of it with the last reason."""

    files: dict[str, str]
    source: str
    said: Sequence[str] = ()
    lacking: str = ""
    options: str = "--image py3"
    beside: str = ""


WHOLE = PYTHON | NUMPY | {f"{SITE}/faiss/__init__.py": "", f"{SITE}/one.py": "", LONG: ""}
ROWS = {
    "a package in it": Row(WHOLE, "import faiss, one, json, numpy as np"),
    "a package that is not": Row(WHOLE, "import requests", [ERROR], "requests"),
    "a package that only the image has": Row(
        WHOLE, "import yaml", [ERROR], "yaml", "--image py3 --image vllm-python-py3"
    ),
    "a package of DALI, which is on the path": Row(WHOLE, "import nvidia.dali"),
    "a library of C": Row(WHOLE | {f"{SITE}/two.cpython-310-x86_64-linux-gnu.so": ""}, "import two"),
    "a library of Python": Row(WHOLE | {"lib/python3.10/lib-dynload/_two.cpython-310.so": ""}, "import _two"),
    "a hard link": Row(WHOLE | {"bin/python3": "=bin/python3.10"}, "import requests", [ERROR], "requests"),
    "a name that is too long for a header": Row(WHOLE, f"import {'x' * 90}.{'y' * 90}"),
    "without NumPy": Row(PYTHON, "import json", [ERROR], "numpy"),
    "without NumPy, which is imported": Row(PYTHON, "import numpy", [ERROR], "numpy"),
    "without NumPy, which is beside the source": Row(PYTHON, "import os", beside="numpy.py"),
    "another Python": Row(OTHER, "import numpy", [VERSION]),
    "another Python, and a package in it": Row(
        OTHER | {"lib/python3.12/site-packages/faiss.py": ""}, "import faiss", [ERROR, VERSION], "faiss"
    ),
    "the Python of the release": Row(OTHER, "import numpy", options="--image py3 --release 24.11"),
    "both Pythons": Row(OTHER | WHOLE, "import numpy"),
    "the stub of the other Python": Row(OTHER, "import faiss", beside="triton_python_backend_stub"),
    "no Python": Row({"bin/activate": ""}, "import faiss"),
    "a Python elsewhere": Row(WHOLE | {"bin/python3": "/usr/bin/python3"}, "import faiss, requests"),
    "a link that leads nowhere": Row(WHOLE | {"bin/python3": "python3.11"}, "import requests"),
    "a link to itself": Row(WHOLE | {"bin/python3": "python3"}, "import requests"),
    "an environment by venv": Row(WHOLE | {"pyvenv.cfg": ""}, "import requests"),
    "a file that adds directories": Row(WHOLE | {f"{SITE}/more.pth": ""}, "import requests"),
    "a file that adds none": Row(WHOLE | {f"{SITE}/a-nspkg.pth": ""}, "import requests", [ERROR], "requests"),
    "a file that runs first": Row(WHOLE | {f"{SITE}/sitecustomize.py": ""}, "import requests"),
    "a library elsewhere": Row(WHOLE | {SITE: "/opt/packages"}, "import requests"),
    "a library under the server's version": Row(OTHER | {"lib/python3.10": "python3.12"}, "import requests"),
    "in a try statement": Row(WHOLE, "try:\n    import requests\nexcept ImportError:\n    pass"),
}  # fmt: skip


def model(content: bytes, source: str = "import requests", beside: str = "") -> dict[str, Entry]:
    files = {"config.pbtxt": CONFIG.encode(), "1/model.py": f"{source}\n{CLASS}".encode(), "e.tar.gz": content}
    files |= {f"1/{beside}" if beside.endswith(".py") else beside: b""} if beside else {}
    return {f"m/{path}": of_bytes(content) for path, content in files.items()}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_said_about_imports(row: Row, form: int) -> None:
    found = judged(model(archive(row.files, form), row.source, row.beside), row.options)
    assert sorted(each.rule for each in found.diagnostics if each.rule in {ERROR, DOUBT, VERSION}) == sorted(row.said)
    (verdict,) = found.verdicts
    assert (verdict.rule == ERROR) is (ERROR in row.said)
    assert not row.lacking or verdict.server_reason == f"ModuleNotFoundError: No module named '{row.lacking}'"


def test_an_own_image_may_have_another_python() -> None:
    own = target(Said("24.10", ("py3",), backends=("python", "mine")))
    for files, said in ((WHOLE, [DOUBT]), (OTHER, [DOUBT])):
        found = judge(repository.read(model(archive(files)), own)).diagnostics
        assert [each.rule for each in found if each.rule in {ERROR, DOUBT, VERSION}] == said


def test_the_servers_python_reads_the_source_whatever_the_environment_has() -> None:
    for files, options, rule in (
        (OTHER, "--release 24.10", "python-syntax-error"),
        (WHOLE, "--release 24.10", "python-syntax-error"),
        (OTHER, "--release 24.11", ""),
        (WHOLE, "--release 24.11", ""),
    ):
        found = judged(model(archive(files), "type Text = str"), f"{options} --image py3")
        assert found.verdicts[0].rule == rule


def test_a_python_that_cannot_be_executed_is_not_the_one() -> None:
    assert not [e for e in judged(model(archive(WHOLE, mode=0o644)), "--image py3").diagnostics if e.rule == ERROR]


DIRECTORIES = {
    "a package that is not in it": (WHOLE, [DOUBT]),
    "another Python": (OTHER, [ERROR, VERSION]),
    "a Python elsewhere": (WHOLE | {"bin/python3": "/usr/bin/python3"}, [DOUBT]),
}


@pytest.mark.parametrize(("files", "said"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_a_directory_may_lack_the_right_to_execute(files: dict[str, str], said: list[str]) -> None:
    config = CONFIG.replace("e.tar.gz", "e")
    tree: dict[str, Entry] = {"m/config.pbtxt": of_text(config), "m/1/model.py": of_text(f"import requests\n{CLASS}")}
    tree |= {f"m/e/{path}": of_text("") for path in files}
    found = judged(tree, "--image py3")
    assert [each.rule for each in found.diagnostics if each.rule in {ERROR, DOUBT, VERSION}] == said


def test_the_message_names_what_it_may_mean() -> None:
    content = archive(WHOLE | {f"{SITE}/transformers/__init__.py": ""})
    (said,) = (e for e in judged(model(content, "import transformer")).diagnostics if e.rule == ERROR)
    assert (said.message, said.hint) == (
        'model.py imports "transformer", which is not in the Python environment e.tar.gz',
        'Did you mean "transformers"?',
    )


def test_only_so_much_is_read_and_the_rest_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive(WHOLE | {"unlike/others": ""})
    monkeypatch.setattr(tars, "READ", len(content) // 2)
    read = repository.read(model(content), server("--image py3"))
    verdicts = judge(read).verdicts
    assert not verdicts[0].rule
    assert unseen(read, verdicts) == (Unseen("packed Python environment", ("m",)),)
    place = tmp_path / "e.tar.gz"
    place.write_bytes(content)
    local = model(content) | {"m/e.tar.gz": on_disk(place, len(content))}
    assert judged(local, "--image py3").verdicts[0].rule == ERROR


def test_what_expands_too_far_is_not_read_to_its_end() -> None:
    zeros = tarfile.TarInfo("zeros")
    zeros.size = 1 << 25
    content = gzip.compress(zeros.tobuf() + bytes(zeros.size) + bytes(1024), compresslevel=1)
    assert members(opened(of_bytes(content))) == ((tars.Member("zeros", Kind.FILE),), False)


def test_members_are_those_of_tarfile() -> None:
    content = archive(WHOLE) + archive({"not/read": ""})
    with tarfile.open(fileobj=io.BytesIO(content)) as made:
        names = ["/".join(name.split("/")[:4]) for name in made.getnames()]
    found, whole = members(opened(of_bytes(content)))
    assert ([each.path for each in found], whole) == (names, True)
    plain = gzip.decompress(content)
    assert members(opened(of_bytes(plain))) == (found, True)


BROKEN = (
    "8 path=x\n",
    "11 path=xy",
    "x path=x\n",
    "0 path=x\n",
    "11 size=12\n",
    "22 GNU.sparse.major=1\n",
    "99999999 a=b\n",
)


@tabled("said", BROKEN)
def test_a_header_that_is_broken_ends_the_list(said: str) -> None:
    header = tarfile.TarInfo("h")
    header.type, header.size = tarfile.XHDTYPE, len(said)
    content = header.tobuf() + said.encode().ljust(512, b"\0") + tarfile.TarInfo("f").tobuf() + bytes(1024)
    assert members(opened(of_bytes(content))) == ((), False)


@given(st.binary(max_size=600), st.integers(0, 4_000))
def test_no_bytes_raise_anything(content: bytes, place: int) -> None:
    whole = gzip.decompress(archive(WHOLE))
    mixed = whole[:place] + content + whole[place + len(content) :]
    for each in (mixed, gzip.compress(mixed, compresslevel=1), archive(WHOLE)[:place] + content):
        packed(of_bytes(each))


def header(name: str, kind: bytes, data: bytes = b"") -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(data)
    return made.tobuf(tarfile.GNU_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0")


def test_a_long_name_of_a_target_is_that_of_the_target() -> None:
    content = header("h", tarfile.GNUTYPE_LONGLINK, b"long\0") + header("l", tarfile.SYMTYPE) + bytes(1024)
    assert members(opened(of_bytes(content))) == ((tars.Member("l", Kind.LINK, "long"),), True)


@pytest.mark.parametrize(("data", "found"), [(b"11 path=ab\n", ()), (b"9 note=a\n", ("l",))], ids=["path", "note"])
def test_a_header_for_all_members_may_rename_none(data: bytes, found: tuple[str, ...]) -> None:
    content = header("h", tarfile.XGLTYPE, data) + header("l", tarfile.REGTYPE) + bytes(1024)
    assert tuple(each.path for each in members(opened(of_bytes(content)))[0]) == found


def test_a_file_in_several_parts_of_gzip_is_one() -> None:
    content = gzip.compress(header("a", tarfile.REGTYPE)) + gzip.compress(header("b", tarfile.REGTYPE) + bytes(1024))
    assert [each.path for each in members(opened(of_bytes(content)))[0]] == ["a", "b"]


def test_a_model_without_a_source_imports_nothing() -> None:
    tree = model(archive(PYTHON))
    del tree["m/1/model.py"]
    tree["m/1/x"] = of_text("")
    assert not [each for each in judged(tree, "--image py3").diagnostics if each.rule == ERROR]


def test_a_link_out_of_the_repository_is_unknown() -> None:
    tree = model(b"") | {"m/e.tar.gz": Outside("/data/e.tar.gz", directory=False)}
    assert not [each for each in judged(tree).diagnostics if each.rule in {ERROR, DOUBT, VERSION}]
