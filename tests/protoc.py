"""C++ protobuf as the judge of texts: `protoc --encode` of grpcio-tools, one fork a text from one warm process.

The schema that it is given is our own data, so that nothing but the parser is judged. Run as a program it is the
process that forks: texts come in on stdin, length first, and what protoc says and writes goes out on stdout.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, NamedTuple

ROOT = "inference.ModelConfig"
PREFIX = b"input:"


class Verdict(NamedTuple):
    """What protoc says, "LINE:COLUMN: words" in order, and the message in wire format if it says nothing."""

    log: tuple[str, ...]
    wire: bytes


def verdicts(texts: Iterable[bytes], descriptors: bytes, compiler: Path | None = None) -> Iterator[Verdict]:
    """Yield protoc's verdict on each text; `compiler` is another _protoc_compiler than that of grpcio-tools."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set"
        path.write_bytes(descriptors)
        command = [sys.executable, __file__, str(path), *([str(compiler)] if compiler else [])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            for text in texts:
                _send(process.stdin, text)
                said, wire = _receive(process.stdout), _receive(process.stdout)
                yield Verdict(tuple(_words(said)), wire)


def _words(said: bytes) -> Iterator[str]:
    for line in said.split(b"\n"):
        if line.startswith(PREFIX):
            yield line.removeprefix(PREFIX).decode("utf-8", "replace")


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(struct.pack("I", len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    (size,) = struct.unpack("I", stream.read(4))
    return stream.read(size)


def _compiler(path: str | None) -> ModuleType:
    if path is None:
        return importlib.import_module("grpc_tools._protoc_compiler")
    loader = importlib.machinery.ExtensionFileLoader("grpc_tools._protoc_compiler", path)
    spec = importlib.util.spec_from_loader("grpc_tools._protoc_compiler", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _judge(compiler: ModuleType, descriptors: str, text: bytes) -> tuple[bytes, bytes]:
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as wire:
        given.write(text)
        given.seek(0)
        child = os.fork()
        if not child:
            for stream, number in ((given, 0), (wire, 1), (said, 2)):
                os.dup2(stream.fileno(), number)
            arguments = ["protoc", f"--descriptor_set_in={descriptors}", f"--encode={ROOT}"]
            os._exit(compiler.run_main([argument.encode() for argument in arguments]))
        os.waitpid(child, 0)
        said.seek(0)
        wire.seek(0)
        return said.read(), wire.read()


def main() -> None:
    """Judge what comes in until it ends."""
    compiler = _compiler(sys.argv[2] if len(sys.argv) > 2 else None)
    while head := sys.stdin.buffer.read(4):
        text = sys.stdin.buffer.read(*struct.unpack("I", head))
        for answer in _judge(compiler, sys.argv[1], text):
            _send(sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
