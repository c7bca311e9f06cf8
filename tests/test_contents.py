"""What a model file holds: told from a few bytes, whatever they claim."""

from __future__ import annotations

import random
import struct
import zipfile

import pytest

from tests.archives import CHECKPOINT, EXPORTED, OLD_PACKAGE, PACKAGE, TORCHSCRIPT, archive
from tests.tabled import tabled
from tritonrepo.repository.contents import LISTING, Content, content, is_archive, zip_names
from tritonrepo.tree import File, of_bytes

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
HELD = {
    "nothing": (b"", Content.EMPTY),
    "a pointer": (POINTER, Content.POINTER),
    "a text about pointers": (POINTER.ljust(1024), Content.UNKNOWN),
    "TorchScript": (archive(*TORCHSCRIPT), Content.TORCHSCRIPT),
    "TorchScript before 1.3": (archive("m/version", "m/model.json"), Content.TORCHSCRIPT),
    "a checkpoint": (archive(*CHECKPOINT), Content.CHECKPOINT),
    "an exported program": (archive(*EXPORTED), Content.EXPORTED),
    "an exported program of an old torch": (
        archive("version", "serialized_exported_program.json"),
        Content.EXPORTED,
    ),
    "a package": (archive(*PACKAGE), Content.COMPILED),
    "a package of an old torch": (archive(*OLD_PACKAGE), Content.COMPILED),
    "another archive": (archive("x/arr_0.npy"), Content.ARCHIVE),
    "an archive without its end": (archive(*TORCHSCRIPT)[:-30], Content.CUT_OFF),
    "a pickle": (b"\x80\x02}q\x00.", Content.PICKLE),
    "safetensors": (b"\x04\0\0\0\0\0\0\0" + b'{"a"', Content.SAFETENSORS),
    "a header that is longer than the file": (b"\x05\0\0\0\0\0\0\0" + b'{"a"', Content.UNKNOWN),
    "ONNX": (b"\x08\x08\x12\x07pytorch", Content.ONNX),
    "ONNX without a producer": (b"\x08\x08\x3a\x00", Content.ONNX),
    "a number that is no IR version": (b"\x08\x7f\x12\x07pytorch", Content.UNKNOWN),
    "HDF5": (b"\x89HDF\r\n\x1a\n", Content.HDF5),
    "XML": (b'<?xml version="1.0"?>', Content.XML),
    "one byte": (b"\x08", Content.UNKNOWN),
    "zeros": (bytes(100), Content.UNKNOWN),
}


@tabled(("data", "held"), HELD.values(), ids=HELD)
def test_what_a_file_holds(data: bytes, held: Content) -> None:
    assert content(of_bytes(data)) is held


def test_an_archive_with_the_longer_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch writes it, whatever the archive's size."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = archive(*CHECKPOINT)
    assert b"PK\x06\x06" in data
    assert zip_names(of_bytes(data)) == frozenset(CHECKPOINT)


def test_a_list_that_is_too_long_is_not_read() -> None:
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, LISTING + 1, 0, 0)
    asked: list[int] = []

    def read(offset: int, n: int) -> bytes:
        asked.append(n)
        return b"PK\x03\x04" if not offset else end.rjust(n, b"\0")

    assert content(File(1 << 40, read)) is Content.UNKNOWN
    assert sum(asked) < 1 << 18


def test_no_bytes_break_anything() -> None:
    dice = random.Random(4)
    whole = [data for data, _ in HELD.values() if data]
    for _ in range(2000):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.randrange(4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        file = of_bytes(bytes(data[: dice.randrange(len(data) + 1)] + dice.randbytes(dice.randrange(30))))
        assert content(file) in set(Content)
        assert is_archive(file) in {True, False}
        short = File(file.size, lambda offset, n, file=file: file.read(offset, n)[: n // 2])  # type: ignore[misc]
        assert content(short) in set(Content)
