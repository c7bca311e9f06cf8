"""The page of `ui` without a browser: who is answered, what is sent, what is asked of the server, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.conftest import EXAMPLE
from tests.facts import PROJECT
from tests.processes import unmeasured
from tests.test_json import NOWHERE
from tests.upstream import Upstream, upstream, work
from tritonrepo.cli import run
from tritonrepo.flows.asking import Passage
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.ui import shown
from tritonrepo.ui.serving import served, ui

pytest.importorskip("uvicorn")

STATIC = resources.files("tritonrepo.ui") / "static"
JSON = "application/json"


class Said(NamedTuple):
    """A response of the page."""

    status: int
    head: Mapping[str, str]
    body: bytes

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Page(NamedTuple):
    """A page that is served, and the server that it asks."""

    port: int
    token: str
    server: Upstream

    def send(self, method: str, path: str, body: object = None, **head: str) -> Said:
        """Send a request as the page's script does; each header can be replaced, by "" left out."""
        own = f"127.0.0.1:{self.port}"
        usual = {"host": own, "origin": f"http://{own}", "x-tritonrepo-token": self.token, "content-type": JSON}
        heads = {name: value for name, value in {**usual, **head}.items() if value}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        for name, value in {**heads, "content-length": str(len(content))}.items():
            connection.putheader(name, value)
        connection.endheaders(content)
        with connection.getresponse() as response:
            said = Said(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return said


def reached(url: str, server: Upstream) -> Page:
    port, _, token = url.removeprefix("http://127.0.0.1:").partition("/#")
    return Page(int(port), token, server)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with upstream() as server, served(work(server)) as opened:
        yield reached(opened.url, server)


KEPT_APART = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ASK = {"model": "rag", "text": "why?"}
REFUSED: dict[str, tuple[str, str, Mapping[str, str], object, int]] = {
    "the page": ("GET", "/", {}, None, 200),
    "the page by name": ("GET", "/", {"host": "localhost", "origin": ""}, None, 200),
    "the page through a tunnel": ("GET", "/", {"host": "localhost:9", "origin": "http://localhost:9"}, None, 200),
    "the page from a link": ("GET", "/", {"sec-fetch-site": "cross-site", "origin": ""}, None, 200),
    "a foreign host": ("GET", "/", {"host": "evil.example", "origin": ""}, None, 403),
    "a host that begins like ours": ("GET", "/", {"host": "127.0.0.1.evil.example", "origin": ""}, None, 403),
    "a host with a name as port": ("GET", "/", {"host": "localhost:evil", "origin": ""}, None, 403),
    "another address of this machine": ("GET", "/", {"host": "0.0.0.0", "origin": ""}, None, 403),
    "a question": ("POST", "/api/ask", {}, ASK, 200),
    "a question without an origin": ("POST", "/api/ask", {"origin": ""}, ASK, 200),
    "a question to a foreign host": ("POST", "/api/ask", {"host": "evil.example", "origin": ""}, ASK, 403),
    "a foreign origin": ("POST", "/api/ask", {"origin": "https://evil.example"}, ASK, 403),
    "another port's origin": ("POST", "/api/ask", {"origin": "http://127.0.0.1:1"}, ASK, 403),
    "no origin by name": ("POST", "/api/ask", {"origin": "null"}, ASK, 403),
    "another page": ("POST", "/api/ask", {"sec-fetch-site": "same-site"}, ASK, 403),
    "no token": ("POST", "/api/ask", {"x-tritonrepo-token": ""}, ASK, 403),
    "another token": ("POST", "/api/server", {"x-tritonrepo-token": "x" * 32}, {}, 403),
    "a token that is no text": ("POST", "/api/server", {"x-tritonrepo-token": "\xff"}, {}, 403),
    "a question by GET": ("GET", "/api/ask", {}, None, 405),
    "a path that is no file": ("GET", "/nothing", {}, None, 404),
    "a path out of the files": ("GET", "/../app.py", {}, None, 404),
    "an encoded path out of the files": ("GET", "/%2e%2e/app.py", {}, None, 404),
    "what is no JSON": ("POST", "/api/ask", {}, b"{", 400),
    "what is no object": ("POST", "/api/ask", {}, [], 400),
    "deep JSON": ("POST", "/api/ask", {}, b"[" * 100_000, 400),
    "no text": ("POST", "/api/ask", {}, {"model": "rag", "text": " "}, 400),
    "a number as text": ("POST", "/api/steps", {}, {"model": "rag", "text": 3}, 400),
    "no model": ("POST", "/api/drawing", {}, {}, 400),
    "a long text": ("POST", "/api/ask", {}, {"model": "rag", "text": "x" * (1 << 18)}, 413),
}


@pytest.mark.parametrize(("method", "path", "head", "body", "status"), REFUSED.values(), ids=REFUSED)
def test_only_the_page_itself_is_answered(
    page: Page, method: str, path: str, head: Mapping[str, str], body: object, status: int
) -> None:
    before = len(page.server.here.asked)
    said = page.send(method, path, body, **head)
    assert said.status == status
    assert KEPT_APART.items() <= said.head.items()
    assert "server" not in said.head
    if status != 200:
        assert len(page.server.here.asked) == before
    if status in {400, 403, 413}:
        assert set(said.lines[0]["error"]) >= {"message", "hint"}


def test_the_files_of_the_page_need_no_other_server() -> None:
    for file in STATIC.iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?:)?//[\w.-]+\.\w+", text), file.name
    html = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\bstyle=|\bon\w+=|<script(?![^>]*\bsrc=)", html)
    assert "innerHTML" not in "".join(file.read_text("utf-8") for file in STATIC.iterdir())


def test_each_file_of_the_page_is_served(page: Page) -> None:
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    for file in STATIC.iterdir():
        said = page.send("GET", f"/{file.name.replace('index.html', '')}")
        assert (said.status, said.body) == (200, file.read_bytes())
        assert said.head["content-type"].startswith(kinds[file.name.rpartition(".")[2]])


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_has_the_contrast_of_wcag_aa() -> None:
    css = (STATIC / "page.css").read_text("utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    for colours in (light, dark):
        for text, behind in (
            *((text, behind) for text in ("text", "quiet", "link") for behind in ("page", "card")),
            *(("on-chief", "chief"), ("bad", "bad-card"), ("text", "code")),
        ):
            low, high = sorted((luminance(colours[text]), luminance(colours[behind])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, behind)


def test_the_models_are_listed_with_what_they_are_for(page: Page) -> None:
    (said,) = page.send("POST", "/api/server", {}).lines
    assert (said["url"], said["server"]) == (page.server.here.url, "triton 2.51.0")
    assert [(each["name"], each["kind"], each["pipeline"]) for each in said["models"]] == [
        ("rag", "answers", True),
        ("search", "searches", True),
        ("failing", "answers", False),
        ("slow", "answers", False),
        ("embedder", "outputs", False),
        ("bad", "none", False),
        ("retriever", "none", False),
    ]


def test_an_answer_arrives_line_by_line(page: Page) -> None:
    sources, *pieces = page.send("POST", "/api/ask", ASK).lines
    assert [each["id"] for each in sources["sources"]] == ["a", "b", "c"]
    assert "".join(each["piece"] for each in pieces).startswith("An answer <script>")


FAULTS: dict[str, tuple[str, str, str]] = {
    "an unknown model": ("rga", "the server does not have the model", 'Did you mean "rag"?'),
    "one that did not load": ("bad", "the server does not serve the model", "load the model again"),
    "a path": ("../../v2", "the server does not have the model", ""),
    "an error in the stream": ("failing", "failing: out of memory", ""),
}


@pytest.mark.parametrize(("model", "message", "hint"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_the_last_line(page: Page, model: str, message: str, hint: str) -> None:
    asked = page.server.here.asked
    before = len(asked)
    last = page.send("POST", "/api/ask", {"model": model, "text": "why?"}).lines[-1]["error"]
    assert last["message"].startswith(message)
    assert hint in last["hint"]
    if model != "failing":
        assert {each.path for each in asked[before:]} == {"/v2/repository/index"}


def test_each_step_shows_what_it_got_and_gave(page: Page) -> None:
    names, first, second = page.send("POST", "/api/steps", {"model": "search", "text": "why?"}).lines
    assert names == {"steps": ["embedder", "retriever"], "alone": False}
    assert first["step"] == {"model": "embedder", "version": "1", "backend": "onnxruntime"}
    about = {"name": "text", "tensor": "query", "type": "BYTES", "shape": [1, 1], "first": ["why?"], "more": 0}
    assert first["got"] == [about]
    assert (first["gave"][0]["shape"], first["gave"][0]["first"]) == ([1, 3], ["1.5", "nan", "-inf"])
    assert second["got"][0]["first"] == first["gave"][0]["first"]
    assert second["gave"][0]["first"][1] == "\ufffd"


def test_the_steps_of_a_python_model_are_those_of_its_repository(page: Page) -> None:
    names, first = page.send("POST", "/api/steps", ASK).lines
    assert names == {"steps": ["embedder"], "alone": False}
    assert first["gave"][0]["tensor"] == "v"


def test_the_steps_of_a_repository_are_those_of_the_page(page: Page, tmp_path: Path) -> None:
    model = tmp_path / "r" / "rag" / "1"
    model.mkdir(parents=True)
    step = {"model": "embedder", "inputs": {"text": "query"}, "outputs": {"vector": "v"}}
    (model / "settings.json").write_text(json.dumps({"steps": [step]}), "utf-8")
    (model / "calls.json").write_text('{"embedder": 1}', "utf-8")
    (model.parent / "config.pbtxt").write_text('backend: "python"', "utf-8")
    with ui(Endpoint(page.server.here.url), tmp_path / "r", Workspace({})) as opened:
        here = reached(opened.url, page.server)
        names, first = here.send("POST", "/api/steps", ASK).lines
    assert (names["steps"], first["step"]["version"]) == (["embedder"], "1")


def test_an_answer_that_does_not_end_in_time_is_late(page: Page) -> None:
    with ui(Endpoint(page.server.here.url, 0.3, 0.3), None, Workspace({})) as opened:
        said = reached(opened.url, page.server).send("POST", "/api/ask", {"model": "slow", "text": "x"})
    assert said.lines[-1]["error"]["rule"] == "server-late"


def test_the_installation_of_the_page_has_what_it_needs() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert {re.split("[<>=]", each)[0] for each in extras["ui"]} == {"tritonrepo[server]", "starlette", "uvicorn"}
    assert "ui" in extras["all"][0]


def test_a_step_that_gets_too_little_is_told(page: Page) -> None:
    (said,) = page.send("POST", "/api/steps", {"model": "retriever", "text": "x"}).lines
    assert said["error"]["message"] == 'the model "retriever" takes no text: its inputs are vector'


def test_a_drawing_has_the_steps(page: Page) -> None:
    (said,) = page.send("POST", "/api/drawing", {"model": "search"}).lines
    assert said["svg"].startswith("<svg ")
    assert ("embedder" in said["text"], said["alone"]) == (True, False)
    assert page.send("POST", "/api/drawing", {"model": "embedder"}).lines[0]["alone"] is True
    (said,) = page.send("POST", "/api/drawing", {"model": "nothing"}).lines
    assert said["error"]["rule"] == "ask-model"


def test_who_closes_a_stream_ends_the_servers_request() -> None:
    with upstream() as server, served(work(server)) as opened:
        here = reached(opened.url, server)
        body = json.dumps({"model": "slow", "text": "x"}).encode()
        streams = []
        for _ in range(8):
            connection = HTTPConnection("127.0.0.1", here.port, timeout=30)
            connection.request("POST", "/api/ask", body, {"x-tritonrepo-token": here.token})
            streams.append((connection, connection.getresponse()))
        assert streams[0][1].readline() == b'{"piece": "word "}\n'
        said = here.send("POST", "/api/ask", {"model": "slow", "text": "x"})
        assert (said.status, said.lines[0]["error"]["message"]) == (429, "8 requests are running already")
        for connection, response in streams:
            response.close()
            connection.close()
        assert server.closed.wait(30)


def test_a_value_of_any_kind_is_shown() -> None:
    one = shown.said({"a": [1.23456789, None, True], "b": "x" * 500})
    assert [each["first"] for each in one["outputs"]] == [["1.2346", "None", "True"], ["x" * 400 + "…"]]
    assert [each["more"] for each in one["outputs"]] == [0, 0]
    assert shown.said([Passage("a", float("nan"), "y" * 5000)])["sources"][0]["score"] is None
    assert shown.said([Passage("a", 1, "y" * 5000)])["sources"][0]["text"] == "y" * 4000 + "…"
    assert json.dumps(shown.said({"a": float("inf")}), allow_nan=False)
    assert shown.said({"many": [*np.arange(9)]})["outputs"][0]["more"] == 1


def test_without_a_server_there_is_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ui", NOWHERE]) == 2
    said = capsys.readouterr()
    assert (said.out, "[server-unreachable]" in said.err) == ("", True)


def test_a_port_that_is_taken_is_told(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ui", page.server.here.url, "--port", str(page.port)]) == 2
    assert capsys.readouterr().err == (
        f"127.0.0.1:{page.port}: fatal: the port is in use by another program [server-port]\n"
        "  Choose another port with --port, or 0 for any free port.\n"
    )


def test_a_missing_library_is_told_before_anything_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for arguments in (["ui", NOWHERE], ["up", str(EXAMPLE), "--ui"]):
        assert run(arguments) == 2
        said = capsys.readouterr().err
        assert "the page needs starlette and uvicorn [extra-missing]" in said
        assert "`pip install 'tritonrepo[ui]'`" in said


def test_a_page_and_an_answer_at_once_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", str(EXAMPLE), "--ui", "--ask", "x"]) == 2
    assert "--ui and --ask cannot be combined" in capsys.readouterr().err


def test_ctrl_c_ends_the_page_and_its_port(page: Page) -> None:
    command = [sys.executable, "-m", "tritonrepo", "ui", page.server.here.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=unmeasured()) as process:
        assert process.stdout is not None
        name, url = process.stdout.readline().decode().split()
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#([\w-]{32})", url)
        assert (name, bool(match)) == ("page", True)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"interrupted\n")
    assert match is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(match[1])))
