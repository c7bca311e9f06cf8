"""What a file is that should be an ONNX model and is not, told from its first bytes."""

from __future__ import annotations

HEAD = 512
"""Bytes that are enough to tell."""

POINTER = b"version https://git-lfs.github.com/spec/"
SIGNATURES = {
    POINTER: "a Git LFS pointer",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"GGUF": "a GGUF file",
    b"\x89HDF\r\n": "an HDF5 file",
    b"\x7fELF": "a program",
    b"ustar": "a tar archive",
}


def kind(head: bytes, size: int) -> str:
    """Return what a file is by its first bytes, "a text file" for instance; "" if that cannot be told."""
    if not size:
        return "empty"
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[8:10] == b'{"':
        return "a safetensors file"
    if not head.strip(b"\0"):
        return "a file of zeros"
    return _text(head)


def _text(head: bytes) -> str:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.end < len(head) - 3:  # otherwise only the last character is cut
            return ""
        text = head[: error.start].decode()
    if not all(character.isprintable() or character in "\t\r\n" for character in text):
        return ""
    return "an HTML page" if text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")) else "a text file"
