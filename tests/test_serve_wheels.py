"""Serving on this machine what was built for another processor, with vendored packages for this machine."""

from __future__ import annotations

import os
from pathlib import Path

from tests.processes import killed
from tritonrepo.cli import run
from tritonrepo.flows.serve import ServeOptions, own_wheels, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.ports import Ports
from tritonrepo.server.staging import replace
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.package import WheelTag
from tritonrepo.sync.record import Record
from tritonrepo.tree import of_bytes

ELF_MACHINE = {0x3E: "x86_64", 0xB7: "aarch64"}
"""e_machine of an ELF header, bytes 18 and 19: System V ABI, gabi, ELF Header."""


def machine(library: Path) -> str:
    header = library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    return ELF_MACHINE[int.from_bytes(header[18:20], "little")]


def test_a_repository_for_another_processor_is_served_with_this_ones_libraries(rag: Path) -> None:
    stack = rag / "tritonrepo.yaml"
    stack.write_text(stack.read_text("utf-8").replace("gpus: 1,", "gpus: 1, arch: aarch64,", 1), "utf-8")
    out = rag / "model_repository"
    assert run(["build", "-f", str(stack), "-o", str(out)]) == 0
    libraries = sorted(out.rglob("*.so"))
    assert libraries
    assert {machine(library) for library in libraries} == {"aarch64"}
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120)
    with killed(serve(out, chosen, Workspace(os.environ), None, rag)) as server:
        states = {model.name: model.state for model in Client(Endpoint(server.http)).index()}
    assert set(states.values()) == {"READY"}
    assert {machine(library) for library in libraries} == {"aarch64"}


def test_a_record_names_no_place_out_of_the_repository(cache: Cache) -> None:
    shared = "012345678901234567890"
    outside = [f"{place}/{shared}/tokenizers/a.py" for place in ("..", ".", "", "m/..", "../m")]
    beside = [f"m/1{shared}/tokenizers/a.py", f"m/{shared}0/tokenizers/a.py", f"m/{shared[:-1]}/tokenizers/a.py"]
    record = Record(files=dict.fromkeys([*outside, *beside, f"m/{shared}/tokenizers/a.py"], ""))
    found = own_wheels(record, WheelTag("aarch64", "3.12"), WheelTag("x86_64", "3.11"), cache)
    assert {path.rsplit("/", 2)[0] for path in found if path.endswith("tokenizers.abi3.so")} == {f"m/{shared}"}
    assert all(path.startswith(f"m/{shared}/tokenizers/") for path in found)


def test_a_replaced_file_of_the_copy_leaves_its_second_name_alone(tmp_path: Path) -> None:
    original, copied = tmp_path / "original", tmp_path / "copy"
    original.write_bytes(b"old")
    copied.mkdir()
    (copied / "a").hardlink_to(original)
    replace(copied, {"a": of_bytes(b"new"), "b/c": of_bytes(b"other")})
    assert (original.read_bytes(), (copied / "a").read_bytes(), (copied / "b" / "c").read_bytes()) == (
        b"old",
        b"new",
        b"other",
    )
