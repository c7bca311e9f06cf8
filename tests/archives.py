"""Zip archives as torch writes them, made by hand: only the names in them count."""

from __future__ import annotations

import io
import zipfile

TORCHSCRIPT = ("archive/version", "archive/data.pkl", "archive/code/__torch__.py", "archive/constants.pkl")
CHECKPOINT = ("archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/version")
EXPORTED = ("archive/archive_format", "archive/models/model.json", "archive/version")
PACKAGE = ("archive/archive_format", "archive/data/aotinductor/model/model.so", "archive/version")
OLD_PACKAGE = ("version", "data/aotinductor/model/model.so")


def archive(*names: str) -> bytes:
    """Return a zip archive with these names."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as writer:
        for name in names:
            writer.writestr(zipfile.ZipInfo(name), b"3\n")
    return whole.getvalue()
