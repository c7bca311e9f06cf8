"""Files that a command is told to read: what they may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tritonrepo.diagnostics import Stop
from tritonrepo.flows.named import content, text


def refused(path: Path, most: int = 1 << 20) -> tuple[str, str, str]:
    """Return rule, message and hint for a file that cannot be used."""
    with pytest.raises(Stop) as caught:
        content(path, "bench-result", "Use another.", most)
    (found,) = caught.value.diagnostics
    assert found.at.path == str(path)
    return found.rule, found.message, found.hint


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * (1 << 20))
    assert len(content(file, "bench-result", "", 1 << 20)) == 1 << 20
    file.write_bytes(b"x" * ((1 << 20) + 1))
    assert refused(file) == ("bench-result", "the file is larger than 1 MiB", "Use another.")


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path(os.devnull)):
        assert refused(path) == ("bench-result", "the path is not a regular file", "Use another.")
    assert refused(tmp_path / "none") == ("bench-result", "the file does not exist", "Use another.")


def test_what_the_system_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "a"))

    monkeypatch.setattr(Path, "open", denied)
    rule, message, _ = refused(tmp_path / "a")
    assert (rule, message) == ("input-access", "the file cannot be read: Permission denied")


def test_a_text_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("größer".encode())
    assert text(tmp_path / "a", "bench-result", "") == "größer"
    (tmp_path / "a").write_bytes(b"ab\xff")
    with pytest.raises(Stop, match="the file is not UTF-8: invalid start byte at byte 2"):
        text(tmp_path / "a", "bench-result", "")
