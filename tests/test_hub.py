"""Files from the Hugging Face Hub: which are fetched, what is pinned, and what a hub does that is hostile or broken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import hub as stand_in
from tests.conftest import PROMPTED
from tests.hub import COMMIT, LATER, Hub, git, ranged, refused, sha256
from tests.servers.serving import free_ports
from tests.speaking import Asked, Said, plain
from tests.test_own_stacks import SEARCH, entered
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sources import patience, transfer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import READ
from tritonrepo.sources.resolve import Resolved, resolve
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import parse_source

AT = Span("stack.yaml", 3, 5)
SMALL, LARGE = b'{"a": 1}', bytes(range(256)) * 40
MODEL = {"config.json": SMALL, "model.safetensors": LARGE, "pytorch_model.bin": LARGE[1:], "onnx/model.onnx": LARGE[2:]}
WANTED = ("config.json", "*.safetensors")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with stand_in.running() as running:
        running.put("o/m", MODEL)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between requests, which nobody waits for."""
    pauses: list[float] = []
    monkeypatch.setattr(patience, "pause", pauses.append)
    return pauses


def got(cache: Cache, text: str = "hf://o/m", *only: str, pin: Pin | None = None) -> Resolved:
    return resolve(parse_source(text), "x86_64", cache, pin, AT, only=only)


def contents(resolved: Resolved) -> dict[str, bytes]:
    return {path: file.content() for path, file in resolved.files.items()}


def fault(cache: Cache, text: str = "hf://o/m", *only: str, pin: Pin | None = None) -> tuple[str, str]:
    """Return message and hint of the one refusal, at the place of the source."""
    with pytest.raises(Stop) as stop:
        got(cache, text, *only, pin=pin)
    (told,) = stop.value.diagnostics
    assert (told.at, told.severity) == (AT, "fatal")
    return told.message, told.hint


def kept(cache: Cache) -> list[Path]:
    """Return what the cache has of files: whole ones, and parts of others."""
    return [path for name in ("blobs", "partial") for path in (cache.root / name).rglob("*") if path.is_file()]


def listed(cache: Cache) -> list[bytes]:
    """Return the whole files that are not the cache's own notes of what the Hub said."""
    contents = [path.read_bytes() for path in (cache.root / "blobs").rglob("*") if path.is_file()]
    return [each for each in contents if b"sha256:" not in each and each.decode("latin-1") not in {COMMIT, LATER, "{}"}]


def test_only_the_files_that_are_needed_are_fetched(hub: Hub, own: Cache) -> None:
    assert contents(got(own, "hf://o/m", *WANTED)) == {"config.json": SMALL, "model.safetensors": LARGE}
    assert hub.paths == [
        "/api/models/o/m",
        f"/o/m/resolve/{COMMIT}/config.json",
        f"/o/m/resolve/{COMMIT}/model.safetensors",
    ]
    assert len(hub.large.asked) == 1


def test_of_an_encoder_all_files_that_can_decide_it_are_fetched_and_no_others(hub: Hub, own: Cache) -> None:
    wanted = [
        *("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_xlm-roberta_config.json"),
        *("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"),
        *("0_Transformer/config.json", "0_Transformer/model.safetensors", "1_Pooling/config.json"),
        *("10_Dense/config.json", "10_Dense/model.safetensors"),
    ]
    others = ["README.md", "pytorch_model.bin", "onnx/model.onnx", "2_Dense/pytorch_model.bin", "fp8.safetensors"]
    hub.put("o/e", dict.fromkeys([*wanted, *others], SMALL))
    assert sorted(got(own, "hf://o/e", *READ).files) == sorted(wanted)


def test_all_files_are_fetched_if_nobody_says_which(hub: Hub, own: Cache) -> None:
    assert contents(got(own)) == MODEL
    assert len(hub.large.asked) == 3


@pytest.mark.usefixtures("hub")
def test_each_role_has_the_files_that_it_asked_for(own: Cache) -> None:
    for _ in range(2):
        assert list(got(own, "hf://o/m", "*.json").files) == ["config.json"]
        assert list(got(own, "hf://o/m", "*.bin").files) == ["pytorch_model.bin"]
        assert list(got(own, "hf://o/m", "*.bin", "*.json").files) == ["config.json", "pytorch_model.bin"]


PARTS = {
    "a file": ("hf://o/m/config.json", {"config.json": SMALL}),
    "a file below": ("hf://o/m@main/onnx/model.onnx", {"model.onnx": LARGE[2:]}),
    "a directory": (f"hf://o/m@{COMMIT}/onnx", {"model.onnx": LARGE[2:]}),
}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("text", "files"), PARTS.values(), ids=PARTS)
def test_a_path_in_a_model_is_a_file_or_a_directory(own: Cache, text: str, files: dict[str, bytes]) -> None:
    found = got(own, text)
    assert (contents(found), found.single) == (files, not text.endswith("/onnx"))
    assert got(own, text).pin.size == len(next(iter(files.values())))


@pytest.mark.usefixtures("hub")
def test_a_file_that_the_stack_names_is_fetched_whatever_the_role_asks_for(own: Cache) -> None:
    assert list(got(own, "hf://o/m/pytorch_model.bin", "*.gguf").files) == ["pytorch_model.bin"]


@pytest.mark.usefixtures("hub")
def test_a_path_that_is_not_there_is_told_with_what_is(own: Cache) -> None:
    assert fault(own, "hf://o/m@main/onx") == (
        '"onx" does not exist in hf://o/m@main',
        "Check the path. The source has: config.json, model.safetensors, onnx/model.onnx, pytorch_model.bin.",
    )
    assert fault(own, "hf://o/m", "*.gguf", "a.json") == (
        "hf://o/m has no file that is needed here: *.gguf, a.json",
        "Use another source. This one has: config.json, model.safetensors, onnx/model.onnx, pytorch_model.bin.",
    )


def test_the_pin_is_that_of_the_commit_whatever_was_needed_of_it(hub: Hub, own: Cache, tmp_path: Path) -> None:
    pin = got(own, "hf://o/m", *WANTED).pin
    assert (pin.revision, pin.size) == (COMMIT, sum(map(len, MODEL.values())))
    assert got(own).pin == got(Cache(tmp_path / "other"), f"hf://o/m@{COMMIT}", "config.json").pin == pin
    hub.put("o/m", {**MODEL, "config.json": b'{"a": 2}'}, LATER)
    assert got(own).pin.sha256 != pin.sha256


def test_what_is_cached_and_pinned_is_had_without_a_request(hub: Hub, own: Cache) -> None:
    pin = got(own, "hf://o/m@main", *WANTED).pin
    hub.put("o/m", {"config.json": b"{}"}, LATER)
    asked = len(hub.here.asked)
    for text, known in (("hf://o/m@main", pin), (f"hf://o/m@{COMMIT}", None)):
        assert contents(got(own, text, *WANTED, pin=known)) == {"config.json": SMALL, "model.safetensors": LARGE}
    assert len(hub.here.asked) == asked
    assert contents(got(own, "hf://o/m@main", *WANTED)) == {"config.json": b"{}"}


def test_a_pinned_commit_is_had_though_its_branch_has_moved(hub: Hub, own: Cache, tmp_path: Path) -> None:
    pin = got(own).pin
    hub.put("o/m", {"config.json": b"{}"}, LATER)
    elsewhere = got(Cache(tmp_path / "elsewhere"), pin=pin)
    assert (contents(elsewhere), elsewhere.pin) == (MODEL, pin)


def test_other_files_under_the_pinned_commit_are_refused(hub: Hub, own: Cache, tmp_path: Path) -> None:
    pin = got(own).pin
    hub.models["o/m"][COMMIT] = {**MODEL, "config.json": b'{"a": 2}'}
    message, hint = fault(Cache(tmp_path / "elsewhere"), pin=pin)
    assert message.endswith(f"at commit {COMMIT}, but the lock pins {pin.sha256[:12]}…")
    assert hint.startswith("Check why the files of this commit have changed.")


def test_equal_files_of_another_commit_are_not_fetched_again(hub: Hub, own: Cache) -> None:
    got(own)
    hub.put("o/m", {**MODEL, "config.json": b"{}"}, LATER)
    before = len(hub.large.asked)
    assert contents(got(own)) == {**MODEL, "config.json": b"{}"}
    assert len(hub.large.asked) == before


def test_people_are_told_what_is_downloaded_and_how_much_it_is(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    own = Cache(tmp_path / "cache", said.append)
    for _ in range(2):
        got(own, f"hf://o/m@{COMMIT}", *WANTED)
    hub.put("o/m", {"config.json": b"{}", "model.safetensors": LARGE}, LATER)
    got(own, "hf://o/m", *WANTED)
    assert said == [f"downloading hf://o/m@{COMMIT}: 2 files, 10.0 KiB", "downloading hf://o/m: 1 file, 2 B"]


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(hub: Hub, own: Cache) -> None:
    hub.tampered = lambda asked: (
        plain(
            {"id": "o/m", "sha": COMMIT, "siblings": [stand_in.sibling("a", LARGE) | {"lfs": {**LFS, "size": 10**18}}]}
        )
        if "/api/" in asked.path
        else None
    )
    with pytest.raises(Stop, match=r"cache: fatal: the download needs 909494.7 TiB, but the disk .* \[cache-access"):
        got(own)
    assert len(hub.here.asked) == 1


LFS = {"sha256": sha256(LARGE), "size": len(LARGE), "pointerSize": 130}


@pytest.mark.usefixtures("hub")
def test_a_disk_that_is_full_is_told(own: Cache) -> None:
    place = own.root / "partial" / f"git-{git(SMALL)}"
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/full")
    with pytest.raises(Stop, match=r"cache: fatal: the cache cannot be written: No space left on device"):
        got(own, "hf://o/m/config.json")
    assert listed(own) == []


TOKEN = "hf_secret"


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def bearers(asked: list[Asked]) -> set[str | None]:
    return {each.head.get("authorization") for each in asked}


@pytest.mark.usefixtures("logged_in")
def test_the_token_goes_to_the_hub_and_to_nobody_else(hub: Hub, own: Cache) -> None:
    got(own)
    assert bearers(hub.here.asked) == {f"Bearer {TOKEN}"}
    assert bearers(hub.large.asked) == {None}


@pytest.mark.usefixtures("logged_in")
def test_the_token_stays_where_the_hub_redirects_to_itself(hub: Hub, own: Cache) -> None:
    def renamed(asked: Asked) -> Said | None:
        return Said(b"", 307, {"Location": asked.path.replace("/old/", "/o/")}) if "/old/" in asked.path else None

    hub.tampered = renamed
    assert contents(got(own, "hf://old/m")) == MODEL
    assert bearers(hub.here.asked) == {f"Bearer {TOKEN}"}
    assert bearers(hub.large.asked) == {None}


@pytest.mark.usefixtures("logged_in")
def test_the_token_does_not_follow_the_listing_to_another_host(hub: Hub, own: Cache) -> None:
    hub.tampered = lambda asked: Said(b"", 302, {"Location": f"{hub.large.url}/x"}) if "/api/" in asked.path else None
    hub.tampered_large = lambda _: plain({"id": "o/m", "sha": COMMIT, "siblings": []})
    fault(own)
    assert bearers(hub.large.asked) == {None}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("token", ["hf_a b", "hf_a\nX-Evil: 1", "hf_ä", "hf_\x1b"])
def test_a_token_that_cannot_be_sent_is_told_and_not_shown(
    own: Cache, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(Stop) as stop:
        got(own)
    assert str(stop.value).startswith("HF_TOKEN: fatal: HF_TOKEN has a character that cannot be in a token")
    assert "hf_" not in str(stop.value)


REFUSALS: dict[str, tuple[Said, str, str, str]] = {
    "gated, without a token": (
        refused(401, "GatedRepo"),
        "",
        '"o/m" is gated: it needs a token whose owner has accepted the licence of the model',
        "Set HF_TOKEN, and accept the licence at {url}/o/m.",
    ),
    "gated, licence not accepted": (
        refused(403, "GatedRepo"),
        TOKEN,
        '"o/m" is gated: it needs a token whose owner has accepted the licence of the model',
        "Set HF_TOKEN, and accept the licence at {url}/o/m.",
    ),
    "401 without a token": (
        refused(401),
        "",
        '"o/m" needs a token, or does not exist on the Hugging Face Hub',
        "Check the name. If the model is private or gated, set HF_TOKEN, and accept the licence at {url}/o/m.",
    ),
    "401 with a token": (
        refused(401),
        TOKEN,
        'the Hugging Face Hub rejects the token in HF_TOKEN for "o/m"',
        "Check the name of the model and the token. If the model is gated, accept its licence at {url}/o/m.",
    ),
    "403": (
        refused(403),
        TOKEN,
        'the Hugging Face Hub denies access to "o/m"',
        "Use a token that can read the model, and accept its licence at {url}/o/m.",
    ),
    "another status": (
        refused(418),
        "",
        'the Hugging Face Hub replies to a request for "o/m" with status 418',
        "Check HF_ENDPOINT, or try again later.",
    ),
}


@pytest.mark.parametrize("part", ["/api/", "/resolve/"])
@pytest.mark.parametrize(("said", "token", "message", "hint"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_with_the_next_step(
    hub: Hub, own: Cache, monkeypatch: pytest.MonkeyPatch, part: str, said: Said, token: str, message: str, hint: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.tampered = lambda asked: said if part in asked.path else None
    assert fault(own) == (message, hint.format(url=hub.url))
    assert listed(own) == []


@pytest.mark.usefixtures("hub")
def test_a_model_a_revision_and_a_file_that_are_not_there_are_told_apart(hub: Hub, own: Cache) -> None:
    assert fault(own, "hf://o/none")[0] == '"o/none" does not exist on the Hugging Face Hub'
    assert fault(own, "hf://o/m@v9") == (
        '"o/m" has no revision "v9" on the Hugging Face Hub',
        f"Use a branch, a tag or a commit of the model: see {hub.url}/o/m/commits/main.",
    )
    hub.tampered = lambda asked: refused(404, "EntryNotFound") if "/resolve/" in asked.path else None
    assert fault(own)[0] == 'the Hugging Face Hub lists "config.json" of "o/m", but does not have it'


def test_a_name_that_the_hub_cannot_have_is_told(hub: Hub, own: Cache) -> None:
    assert "its reply cannot be understood (HFValidationError" in fault(own, "hf://o/m--x.git")[0]
    assert hub.here.asked == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("part", ["/api/", "/resolve/"])
def test_a_storm_is_waited_for_a_few_times(hub: Hub, own: Cache, waited: list[float], part: str, status: int) -> None:
    hub.tampered = lambda asked: Said(b"", status) if part in asked.path else None
    message, _ = fault(own, "hf://o/m/config.json")
    assert message.endswith(f"from {hub.url}: the server replies with status {status}")
    assert (waited, sum(part in path for path in hub.paths)) == ([0.5, 1, 2, 4], 5)


@pytest.mark.parametrize("part", ["/api/", "/resolve/"])
def test_a_storm_that_passes_is_not_noticed(hub: Hub, own: Cache, waited: list[float], part: str) -> None:
    said = iter([Said(b"", 503), Said(b"", 429, {"Retry-After": "7"})])
    hub.tampered = lambda asked: next(said, None) if part in asked.path else None
    assert contents(got(own, "hf://o/m/config.json")) == {"config.json": SMALL}
    assert waited == [0.5, 7]


def test_a_listing_that_breaks_off_is_asked_for_again(hub: Hub, own: Cache, waited: list[float]) -> None:
    said = iter([Said(b"{", head={"Content-Length": "9"})])
    hub.tampered = lambda _: next(said, None)
    assert contents(got(own, "hf://o/m/config.json")) == {"config.json": SMALL}
    assert waited == [0.5]


@pytest.mark.parametrize("part", ["/api/", "/resolve/"])
def test_nobody_waits_as_long_as_a_hub_asks(hub: Hub, own: Cache, waited: list[float], part: str) -> None:
    hub.tampered = lambda asked: Said(b"", 429, {"Retry-After": "3600"}) if part in asked.path else None
    message, _ = fault(own, "hf://o/m/config.json")
    assert message.endswith("the server replies with status 429 and asks to wait 3600 s")
    assert (waited, sum(part in path for path in hub.paths)) == ([], 1)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub that is not there."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    return url


def test_a_hub_that_is_not_there_is_told_at_once(own: Cache, nobody: str, waited: list[float]) -> None:
    message, hint = fault(own, "hf://o/m@main")
    assert message == f"hf://o/m@main cannot be obtained from {nobody}: [Errno 111] Connection refused"
    assert hint.endswith("or use a local copy. The lock does not pin this source.")
    for text, pin in ((f"hf://o/m@{COMMIT}", None), ("hf://o/m", Pin(revision=COMMIT))):
        message, hint = fault(own, text, pin=pin)
        assert hint.endswith("What was downloaded is kept: run the command again.")
    assert waited == []


def test_a_host_of_large_files_that_is_not_there_is_told_at_once(hub: Hub, own: Cache, waited: list[float]) -> None:
    port = free_ports(1)[0]
    hub.tampered = lambda asked: (
        Said(b"", 302, {"Location": f"http://127.0.0.1:{port}/x"}) if "/resolve/" in asked.path else None
    )
    message, _ = fault(own, "hf://o/m/model.safetensors")
    assert message.endswith(f"from {hub.url}: Connection refused")
    assert waited == []


def test_a_branch_that_was_seen_is_used_while_the_hub_cannot_be_reached(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    own = Cache(tmp_path / "cache", said.append)
    found = got(own)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    again = got(own)
    assert (contents(again), again.pin) == (MODEL, found.pin)
    assert said[-1] == f"the Hugging Face Hub cannot be reached: using commit {COMMIT} of hf://o/m"
    assert "cannot be obtained" in fault(own, "hf://o/m@v1")[0]
    assert hub.paths.count("/api/models/o/m") == 1


def test_where_the_environment_forbids_it_the_hub_is_not_asked(
    hub: Hub, own: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    got(own, "hf://o/m", "*.json")
    asked = len(hub.here.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert contents(got(own, "hf://o/m", "*.json")) == {"config.json": SMALL}
    for text in ("hf://o/m", f"hf://o/m@{COMMIT}", "hf://o/other"):
        assert fault(own, text)[0].endswith(f"from {hub.url}: HF_HUB_OFFLINE is set")
    assert len(hub.here.asked) == asked


NAMES = {
    "above": ["../../x"],
    "above, inside": ["a/../../x"],
    "of the root": ["/etc/x"],
    "empty parts": ["a//x"],
    "here": ["./x"],
    "a control character": ["a\nx"],
    "an escape": ["a\x1b[31mx"],
    "a NUL": ["a\0x"],
    "half a character": ["a\ud800"],
    "of Windows": ["..\\x"],
    "nothing": [""],
    "too long": ["x" * 256],
    "the same but for case": ["a/X", "a/x"],
    "a file and a directory": ["x", "x/y"],
    "a file and a directory but for case": ["X", "x/y"],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_name_that_could_not_be_a_file_here_is_refused(hub: Hub, own: Cache, names: list[str]) -> None:
    hub.put("o/m", {**dict.fromkeys(names, SMALL), "config.json": SMALL})
    message, _ = fault(own)
    assert message.startswith("hf://o/m contains ")
    assert not [path for path in hub.paths if "/resolve/" in path]
    assert contents(got(own, "hf://o/m", "config.json")) == {"config.json": SMALL}


def test_a_link_is_a_small_file_with_its_target_as_at_the_hub(hub: Hub, own: Cache) -> None:
    """Git keeps a link as a blob with the target, and the Hub serves that blob."""
    hub.put("o/m", {"model.safetensors": b"../../../etc/passwd"})
    (file,) = got(own).files.values()
    assert file.path is not None
    assert not file.path.is_symlink()
    assert file.content() == b"../../../etc/passwd"


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("change", [lambda c: c[:-1] + b"!", lambda c: c + b"!"], ids=["other bytes", "more bytes"])
def test_bytes_that_are_not_those_of_the_listing_are_not_kept(
    hub: Hub, own: Cache, path: str, change: Callable[[bytes], bytes]
) -> None:
    got(own, "hf://o/m/onnx")
    before = kept(own)
    wrong = change(MODEL[path])
    hub.tampered = lambda asked: Said(wrong) if asked.path.endswith(path) else None
    if len(wrong) == len(MODEL[path]):
        message, hint = fault(own, f"hf://o/m@{COMMIT}/{path}")
        assert (
            message
            == f'"{path}" of hf://o/m@{COMMIT}/{path} is not what the Hugging Face Hub lists: its digest differs'
        )
        assert hint == "Try again later. If the digest still differs, use another source."
        assert kept(own) == before
    else:  # what is too much is not even read
        assert contents(got(own, f"hf://o/m@{COMMIT}/{path}")) == {path: MODEL[path]}


def cut(content: bytes, end: int) -> Said:
    return Said(content[:end], head={"Content-Length": str(len(content))})


def test_a_body_that_ends_early_is_continued(hub: Hub, own: Cache) -> None:
    said = iter([cut(LARGE, 1000)])
    hub.tampered_large = lambda _: next(said, None)
    assert contents(got(own, "hf://o/m/model.safetensors")) == {"model.safetensors": LARGE}
    assert [asked.head.get("range") for asked in hub.large.asked] == [None, "bytes=1000-"]


def test_a_body_that_ends_early_each_time_is_given_up_and_continued_by_the_next_run(hub: Hub, own: Cache) -> None:
    hub.tampered_large = lambda asked: cut(LARGE, 1000) if "range" not in asked.head else Said(b"", 503)
    message, _ = fault(own, "hf://o/m/model.safetensors")
    assert message.startswith('"model.safetensors" of hf://o/m/model.safetensors cannot be obtained from')
    hub.tampered_large = lambda _: None
    assert contents(got(own, "hf://o/m/model.safetensors")) == {"model.safetensors": LARGE}
    assert hub.large.asked[-1].head["range"] == "bytes=1000-"
    assert not list((own.root / "partial").iterdir())


def test_a_body_that_ends_early_each_time_but_not_without_progress_is_continued(hub: Hub, own: Cache) -> None:
    step = transfer.PIECE + 1000
    content = bytes(7 * step)
    hub.put("o/m", {"model.safetensors": content})

    def a_part(asked: Asked) -> Said:
        said = ranged(asked, content)
        return said._replace(body=said.body[:step], head={**said.head, "Content-Length": str(len(said.body))})

    hub.tampered_large = a_part
    assert contents(got(own)) == {"model.safetensors": content}
    assert len(hub.large.asked) == 7


def test_a_host_that_knows_no_ranges_sends_the_whole_again(hub: Hub, own: Cache) -> None:
    said = iter([cut(LARGE, 1000), Said(LARGE)])
    hub.tampered_large = lambda _: next(said, None)
    assert contents(got(own, "hf://o/m/model.safetensors")) == {"model.safetensors": LARGE}


LEFT = {
    "of something else": b"x" * 1000,
    "as long as the file": b"x" * len(LARGE),
    "longer than the file": b"x" * (len(LARGE) + 1),
    "all of it": LARGE,
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_what_a_killed_run_left_is_verified_as_a_whole(hub: Hub, own: Cache, left: bytes) -> None:
    place = own.root / "partial" / f"sha256-{sha256(LARGE)}"
    place.parent.mkdir(parents=True)
    place.write_bytes(left)
    assert contents(got(own, "hf://o/m/model.safetensors")) == {"model.safetensors": LARGE}
    assert not place.exists()
    assert (len(hub.large.asked) == 0) == (left == LARGE)


def test_a_part_from_another_place_is_refused(hub: Hub, own: Cache) -> None:
    said = iter([cut(LARGE, 1000), Said(LARGE[9:], 206, {"Content-Range": f"bytes 9-{len(LARGE) - 1}/{len(LARGE)}"})])
    hub.tampered_large = lambda _: next(said, None)
    assert "sends another part of the file than it was asked for" in fault(own, "hf://o/m/model.safetensors")[0]


REDIRECTS = {
    "round and round": ("{large}/loop", "the redirects of the server lead nowhere"),
    "to an unencrypted host": (
        "http://192.0.2.1/x?k=s3cret",
        "redirects to http://192.0.2.1/x, which is not encrypted",
    ),
    "to this machine's name in another host": ("http://127.0.0.1:80@192.0.2.1/x", "which is not encrypted"),
    "to a file": ("file:///etc/passwd", "the redirects of the server lead nowhere"),
    "to no port": ("https://192.0.2.1:99999/x", "which is not encrypted"),
    "to FTP": ("ftp://192.0.2.1/x", "redirects to ftp://192.0.2.1/x, which is not encrypted"),
}


@pytest.mark.parametrize(("target", "message"), REDIRECTS.values(), ids=REDIRECTS)
def test_a_redirect_that_leads_astray_is_not_followed(hub: Hub, own: Cache, target: str, message: str) -> None:
    moved = Said(b"", 302, {"Location": target.format(large=hub.large.url)})
    hub.tampered = lambda asked: moved if "/resolve/" in asked.path else None
    hub.tampered_large = lambda _: Said(b"", 302, {"Location": f"{hub.large.url}/loop"})
    found = fault(own, "hf://o/m/model.safetensors")[0]
    assert message in found
    assert "s3cret" not in found


GARBAGE: dict[str, tuple[object, str]] = {
    "no JSON": (b"<html>", "its reply cannot be understood (JSONDecodeError"),
    "a list": (b"[]", "its reply cannot be understood (TypeError"),
    "no id": (b"{}", "its reply cannot be understood (KeyError"),
    "no commit": ({"sha": None}, "it names 'None' as the commit of revision None"),
    "a commit that is none": ({"sha": "../../x"}, "it names '../../x' as the commit"),
    "no files": ({"siblings": None}, "hf://o/m has no files"),
    "a file without a size": ({"siblings": [{"rfilename": "a", "blobId": "b" * 40}]}, "no size and digest of 'a'"),
    "a size below 0": ({"siblings": [{"rfilename": "a", "size": -1, "blobId": "b" * 40}]}, "no size and digest of 'a'"),
    "a size that is text": (
        {"siblings": [{"rfilename": "a", "size": "1", "blobId": "b" * 40}]},
        "no size and digest of 'a'",
    ),
    "a digest that is a path": (
        {"siblings": [{"rfilename": "a", "size": 1, "lfs": {**LFS, "sha256": "../x"}}]},
        "no size and digest of 'a'",
    ),
    "a name that is a list": (
        {"siblings": [{"rfilename": ["a"], "size": 1, "blobId": "b" * 40}]},
        "no size and digest",
    ),
    "half of what LFS needs": (
        {"siblings": [{"rfilename": "a", "lfs": {"size": 1}}]},
        "cannot be understood (KeyError",
    ),
}


@pytest.mark.parametrize(("said", "message"), GARBAGE.values(), ids=GARBAGE)
def test_a_listing_that_cannot_be_used_is_refused(hub: Hub, own: Cache, said: Any, message: str) -> None:  # noqa: ANN401
    reply = Said(said) if isinstance(said, bytes) else plain({"id": "o/m", "sha": COMMIT, "siblings": [], **said})
    hub.tampered = lambda _: reply
    assert message in fault(own)[0]
    assert listed(own) == []


def test_another_commit_than_was_asked_for_is_refused(hub: Hub, own: Cache) -> None:
    hub.tampered = lambda _: plain({"id": "o/m", "sha": LATER, "siblings": []})
    assert f"it names '{LATER}' as the commit of revision {COMMIT}" in fault(own, f"hf://o/m@{COMMIT}")[0]


def test_several_at_once_fetch_a_file_once(hub: Hub, own: Cache) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: contents(got(own, f"hf://o/m@{COMMIT}")), range(6)))
    assert found == [MODEL] * 6
    assert len(hub.large.asked) == 3
    assert not list((own.root / "partial").iterdir())
    assert not list((own.root / "work").iterdir())


@pytest.mark.usefixtures("hub")
def test_the_settings_of_the_library_are_as_before_after_several_at_once(tmp_path: Path) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    before = (logging.get_verbosity(), constants.HF_HUB_DISABLE_TELEMETRY)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: got(Cache(tmp_path / str(number)), "hf://o/m/config.json"), range(12)))
    assert (logging.get_verbosity(), constants.HF_HUB_DISABLE_TELEMETRY) == before


KILLED = """\
import sys
from pathlib import Path
from tritonrepo.diagnostics import Span
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import READ
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source
resolve(parse_source(sys.argv[1]), "x86_64", Cache(Path(sys.argv[2])), None, Span("s"))
"""


def test_the_library_sends_no_request_of_its_own_and_writes_and_prints_nothing(
    hub: Hub, own: Cache, tmp_path: Path
) -> None:
    def warning(asked: Asked) -> Said | None:
        hub.tampered = lambda _: None
        said = hub.answer(asked)
        return said._replace(head={**said.head, "X-HF-Warning": "topic; \x1b[31mowned"})

    hub.tampered = warning
    home = tmp_path / "home"
    environment = {**os.environ, "HF_HOME": str(home), "AI_AGENT": "x"}
    command = [sys.executable, "-c", KILLED, "hf://o/m/onnx", str(own.root)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert hub.paths == ["/api/models/o/m", f"/o/m/resolve/{COMMIT}/onnx/model.onnx"]
    assert not home.exists()


def test_a_killed_run_leaves_no_half_file_and_the_next_one_goes_on(hub: Hub, own: Cache) -> None:
    asked_second, go_on = threading.Event(), threading.Event()

    def held(asked: Asked) -> None:
        if asked.path.startswith(f"/{sha256(LARGE[1:])}"):
            asked_second.set()
            go_on.wait()

    hub.tampered_large = held
    text = f"hf://o/m@{COMMIT}"
    child = subprocess.Popen([sys.executable, "-c", KILLED, text, str(own.root)], env=dict(os.environ))
    assert asked_second.wait(60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    hub.tampered_large = lambda _: None
    go_on.set()
    assert sorted(listed(own)) == sorted([SMALL, LARGE])
    before = len(hub.large.asked)
    assert contents(got(own, text)) == MODEL
    assert len(hub.large.asked) == before + 2


FRESH = uuid.uuid4().hex + "0" * 8
MOVED = FRESH[::-1]
OWN = f"o/{FRESH}"
"""Commits and a model that no cache has: builds use the user's own one, because it has the packages of the steps."""


@pytest.fixture
def stack(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack whose embedder is on the Hub, in the current directory."""
    place = entered(tmp_path / "own", monkeypatch)
    weights = {p.relative_to(place / "w").as_posix(): p.read_bytes() for p in (place / "w").rglob("*") if p.is_file()}
    hub.put(OWN, {**weights, "pytorch_model.bin": LARGE}, FRESH)
    (place / "tritonrepo.yaml").write_text(SEARCH.replace("./w", f"hf://{OWN}"), "utf-8")
    return place


def test_an_embedder_from_the_hub_is_indexed_and_built_and_then_needs_the_hub_no_more(
    hub: Hub, stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    assert not [path for path in hub.paths if "pytorch" in path]
    pin = json.loads((stack / "tritonrepo.lock").read_text("utf-8"))["sources"][f"hf://{OWN}"]["any"]
    assert pin["revision"] == FRESH
    asked = len(hub.here.asked)
    hub.put(OWN, {"config.json": b"{}"}, LATER)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    capsys.readouterr()
    assert run(["build", "--check", "--locked"]) == 0
    assert len(hub.here.asked) == asked


def test_of_a_model_with_onnx_files_only_the_usual_one_is_fetched(hub: Hub, stack: Path) -> None:
    import onnx

    saved = {p.relative_to(PROMPTED).as_posix(): p.read_bytes() for p in PROMPTED.rglob("*") if p.is_file()}
    del saved["model.safetensors"], saved["expected.json"]
    model = onnx.load_model_from_string(saved["onnx/model.onnx"])
    model.doc_string = FRESH  # no cache has it
    saved["onnx/model.onnx"] = model.SerializeToString()
    others = {"onnx/model_O3.onnx": LARGE, "onnx/model_quint8.onnx": LARGE, "pytorch_model.bin": LARGE}
    hub.put(f"{OWN}-onnx", saved | others, FRESH)
    for source in (f"'hf://{OWN}-onnx'", f"'hf://{OWN}-onnx/onnx/model.onnx'"):
        (stack / "tritonrepo.yaml").write_text(SEARCH.replace("./w", source), "utf-8")
        assert run(["index"]) == 0
        assert run(["build", "--dry-run"]) == 0
    asked = [path.partition(f"/resolve/{FRESH}/")[2] for path in hub.paths if "/resolve/" in path]
    assert "onnx/model.onnx" in asked
    assert {*asked} <= saved.keys()


def test_a_pin_moves_with_the_branch_only_if_that_is_asked_for(hub: Hub, stack: Path) -> None:
    def pinned() -> str:
        lock = json.loads((stack / "tritonrepo.lock").read_text("utf-8"))
        return str(lock["sources"][f"hf://{OWN}"]["any"]["revision"])

    assert run(["index"]) == 0
    assert run(["build"]) == 0
    hub.put(OWN, {**hub.models[OWN][FRESH], "README.md": b"new"}, MOVED)
    assert run(["build"]) == 0
    assert pinned() == FRESH
    assert run(["lock", "--upgrade", f"hf://{OWN}"]) == 0
    assert pinned() == MOVED
    assert run(["build", "--check", "--locked"]) == 0


def test_two_models_from_one_source_have_one_commit_and_one_pin(hub: Hub, stack: Path) -> None:
    text = (stack / "tritonrepo.yaml").read_text("utf-8")
    (stack / "tritonrepo.yaml").write_text(
        text.replace("  r:", f"  f: {{role: embedder, source: 'hf://{OWN}'}}\n  r:"), "utf-8"
    )

    def moving(asked: Asked) -> None:
        if asked.path.endswith("tokenizer.json"):
            hub.put(OWN, {"config.json": b"{}"}, LATER)

    hub.tampered = moving
    gathering = load(
        Path("tritonrepo.yaml"), Workspace(dict(os.environ) | {"XDG_CACHE_HOME": str(stack / "c")})
    ).gathering()
    one, other = gathering.files("e"), gathering.files("f")
    assert (one.onnx.sha256, one.tokenizer.sha256) == (other.onnx.sha256, other.tokenizer.sha256)
    assert gathering.pins[f"hf://{OWN}"].revision == FRESH


def revision(stack: Path, text: str, pin: Pin | None = None) -> tuple[str | None, dict[str, Pin]]:
    loaded = load(stack, Workspace({"XDG_CACHE_HOME": str(stack / "c")}))
    if pin:
        loaded = loaded._replace(lock=replace(loaded.lock, sources=loaded.lock.pinned({text: pin})))
    gathering = loaded.gathering()
    found = {gathering.revision(parse_source(text), AT) for _ in range(2)}
    assert len(found) == 1
    return found.pop(), gathering.pins


def test_a_revision_is_the_commit_that_is_named_pinned_or_found(hub: Hub, stack: Path) -> None:
    hub.put("o/m", {"config.json": SMALL}, FRESH)
    assert revision(stack, f"hf://o/m@{LATER}") == (LATER, {})
    pin = Pin(sha256="1", revision=LATER)
    assert revision(stack, "hf://o/m", pin) == (LATER, {"hf://o/m": pin})
    assert hub.here.asked == []
    found, pins = revision(stack, "hf://o/m")
    assert (found, pins["hf://o/m"].revision, pins["hf://o/m"].size) == (FRESH, FRESH, len(SMALL))
    assert len(hub.here.asked) == 1
    assert revision(stack, "./w") == (None, {})


def test_a_revision_that_this_machine_cannot_see_is_unknown(hub: Hub, stack: Path, nobody: str) -> None:
    assert revision(stack, "hf://o/m") == (None, {})
    for status in (401, 403):
        denied = refused(status, "GatedRepo")
        hub.tampered = lambda _: denied  # noqa: B023  called before the next round
        os.environ["HF_ENDPOINT"] = hub.url
        hub.here.asked.clear()
        assert revision(stack, "hf://o/m") == (None, {})
        assert len(hub.here.asked) == 1
        os.environ["HF_ENDPOINT"] = nobody


def test_a_revision_that_does_not_exist_is_told(hub: Hub, stack: Path) -> None:
    assert hub.paths == []
    with pytest.raises(Stop, match=r'stack.yaml:3:5: fatal: "o/m" has no revision "v9" on the Hugging Face Hub'):
        revision(stack, "hf://o/m@v9")


def test_a_missing_library_is_told_with_the_command_that_installs_it(
    hub: Hub, own: Cache, stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        Stop, match=r"hf:// sources need huggingface_hub \[extra-missing\]\n  Run `pip install 'tritonrepo\[hub\]'` \("
    ):
        got(own)
    assert revision(stack, "hf://o/m") == (None, {})
    assert hub.here.asked == []
