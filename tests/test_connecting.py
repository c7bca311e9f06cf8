"""The options of a connection: what they accept, and that no secret reaches an output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.speaking import Asked, Said, plain, speaking
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.secrets import hideable, shown, without

SECRET = 'se$cret/"tokén'.replace("é", "e")
URL = "http://127.0.0.1:1"

WRONG: dict[str, tuple[list[str], str]] = {
    "a header without a colon": (["--header", "hunter22"], '--header must have the form "NAME: VALUE"'),
    "a header without a name": (["--header", ": hunter22"], '--header: "" is not the name of a header'),
    "a name with a space": (["--header", "X Y: hunter22"], '--header: "x y" is not the name of a header'),
    "a name that is binary in gRPC": (["--header", "x-bin: hunter22"], '"x-bin" is not the name'),
    "a name of gRPC's own": (["--header", "grpc-timeout: 1"], '"grpc-timeout" is not the name'),
    "a header of the request": (["--header", "Content-Length: 5"], "the header content-length is set by tritonrepo"),
    "a header twice": (["--header", "X: 1", "--header", "x: 2"], "--header: the header x is given twice"),
    "a token and a header": (
        ["--header", "Authorization: hunter22", "--token-env", "TOKEN"], "--token-env: the header authorization is gi",
    ),
    "a line break": (["--header", "X: hunter22\r\nY: 1"], "--header X: the value has characters that a header cannot"),
    "letters of no header": (["--header", "X: hunter22é"], "--header X: the value has characters"),
    "a variable with a line break": (["--token-env", "BROKEN"], "--token-env BROKEN: the value has characters"),
    "a variable that is not set": (["--token-env", "NOWHERE"], "the environment variable NOWHERE is not set, or em"),
    "a variable that is blank": (["--header-env", "X=BLANK"], "the environment variable BLANK is not set, or empty"),
    "the token itself": (["--token-env", "hunter22.x"], "expects the name of an environment variable, such as"),
    "no variable": (["--header-env", "X"], "--header-env must have the form NAME=VARIABLE"),
    "a key alone": (["--key", "k.pem"], "--key requires --cert"),
    "files without TLS": (["--ca", "c.pem"], "--ca is for TLS, but http://127.0.0.1:1 is not. Use https://."),
    "gRPC's address": (["--grpc", "h:x"], "this is not the address of a gRPC server [server-url]"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG)
def test_a_connection_that_cannot_be_made_is_exit_2_before_anything_is_sent(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TOKEN": "hunter22", "BLANK": " ", "BROKEN": "hunter22\nX: y"}.items():
        monkeypatch.setenv(name, value)
    assert run(["smoke", URL, *arguments]) == 2
    said = capsys.readouterr()
    assert says in " ".join(said.err.split())
    assert "hunter22" not in said.out + said.err.replace("'hunter22.x'", "")


def test_a_variable_of_the_environment_may_hold_several_headers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRITONREPO_SMOKE_HEADER", "X-One: 1 and 2\nX-Two: 3")
    with speaking(lambda _: plain([])) as server:
        assert run(["smoke", server.url, "--grpc", "none"]) == 0
    capsys.readouterr()
    assert {name: server.asked[0].head[name] for name in ("x-one", "x-two")} == {"x-one": "1 and 2", "x-two": "3"}


def refusing(asked: Asked) -> Said:
    """A gateway that repeats the token in its refusal, cut after a few characters."""
    token = asked.head.get("authorization", "nothing")
    return Said(f"no {token} {json.dumps(token)} {token[:20]}".encode(), 401)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_server_that_denies_access_is_named_and_the_token_is_not(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TRITON_TOKEN", SECRET)
    junit = tmp_path / "smoke.xml"
    with speaking(refusing) as server:
        arguments = ["--token-env", "TRITON_TOKEN", "--format", form, "--junit", str(junit)]
        assert run(["smoke", server.url, *arguments]) == 2
    said = capsys.readouterr()
    assert server.asked[0].head["authorization"] == f"Bearer {SECRET}"
    assert "the server denies access with $TRITON_TOKEN: HTTP 401: no Bearer $TRITON_TOKEN" in said.err
    assert "Renew $TRITON_TOKEN: it may be expired" in said.err
    texts = said.out + said.err + (junit.read_text("utf-8") if junit.exists() else "")
    assert SECRET[:9] not in texts
    assert json.dumps(SECRET)[1:9] not in texts


def test_who_sent_no_credentials_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(lambda _: Said(b"", 403, {"WWW-Authenticate": 'Bearer error="x"'})) as server:
        assert run(["smoke", server.url]) == 2
        said = capsys.readouterr().err
        assert run(["smoke", server.url, "--header", "Authorization: Bearer hunter22"]) == 2
    assert 'denies access without credentials: HTTP 403: Bearer error="x" [server-denied]' in said
    assert "`--token-env VARIABLE`" in said
    said = capsys.readouterr().err
    assert "the server denies access: HTTP 403" in said
    assert "hunter22" not in said


def test_a_redirect_is_not_followed_and_named() -> None:
    with speaking(lambda _: Said(b"", 308, {"Location": "https://h/v2?hunter22"})) as server:
        endpoint = Endpoint(server.url, headers={"x-key": "hunter22"})
        with pytest.raises(Stop, match=r"redirects requests to https://h/v2\?\*\*\* \(HTTP 308\) \[server-answer\]"):
            Client(endpoint).live()


HIDES: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "a token from the environment": (
        {"authorization": "Bearer abcdefghij"}, {"authorization": "Bearer $T"}, "a abcdefghij b", "a $T b",
    ),
    "only its beginning": (
        {"authorization": "Bearer abcdefghij"}, {"authorization": "Bearer $T"}, "abcdefgh… abcdefghi", "$T… $T",
    ),
    "credentials with a scheme of their own": ({"x": "Basic abcdefgh"}, {"x": "$B"}, "Basic abcdefgh", "Basic $B"),
    "quoted for a URL": ({"x": "a/b c"}, {"x": "$B"}, "?k=a%2Fb%20c", "?k=$B"),
    "a header whose name tells": ({"x-api-key": "abcde"}, {}, "abcde", "***"),
    "a header of no secret": ({"x-tenant": "abcde"}, {}, "abcde", "abcde"),
    "too short to be hidden": ({"x": "abc"}, {"x": "$B"}, "abc", "abc"),
    "the longer one first": ({"x": "abcde", "y": "abcdefgh"}, {"x": "$X", "y": "$Y"}, "abcdefgh abcde", "$Y $X"),
}  # fmt: skip


@tabled(("headers", "variables", "text", "made"), HIDES.values(), ids=HIDES)
def test_a_secret_is_hidden(headers: dict[str, str], variables: dict[str, str], text: str, made: str) -> None:
    assert without(text, hideable(headers, variables)) == made
    assert "abcdefghij" not in repr(Endpoint("u", headers=headers, variables=variables))


def test_headers_are_shown_without_their_secrets() -> None:
    headers = {"authorization": "Bearer abc", "x-key": "abc", "x-tenant": "seven"}
    assert shown(headers, {"authorization": "Bearer $T"}) == {
        "authorization": "Bearer $T", "x-key": "***", "x-tenant": "seven",
    }  # fmt: skip


OTHERS: dict[str, tuple[dict[str, Said], str]] = {
    "Triton's metrics": (
        {"/metrics": Said(b"# HELP nv_inference_request_success x\nnv_inference_request_success 1\n")},
        "this is the metrics port of a Triton server",
    ),
    "vLLM": (
        {"/v1/models": plain({"data": [{"id": f"org/m{n}", "owned_by": "vllm"} for n in range(5)]})},
        "this is vLLM with OpenAI's API, which serves org/m0, org/m1, org/m2 and 2 more",
    ),
    "another server with OpenAI's API": (
        {"/v1/models": plain({"data": [{"id": "m\n::error::"}]})},
        "this is a server with OpenAI's API, which serves m\\n::error::",
    ),
    "another server of the protocol": (
        {"/v2": plain({"name": "mlserver", "version": "1", "extensions": []})},
        'this is a server of the KServe protocol that is not Triton: "mlserver"',
    ),
    "a web server": ({}, 'this is another web server: "BaseHTTP/'),
    "metrics of another": ({"/metrics": Said(b"x_nv_y 1")}, 'this is another web server: "BaseHTTP/'),
    "models of no form": ({"/v1/models": plain({"data": [1]})}, 'this is another web server: "BaseHTTP/'),
    "JSON without an end": ({"/v2": Said(b"[" * 200_000)}, 'this is another web server: "BaseHTTP/'),
}


@pytest.mark.parametrize(("says", "message"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_triton_is_named(says: dict[str, Said], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(lambda asked: says.get(asked.path, plain({}, 404))) as server:
        assert run(["smoke", server.url, "--grpc", "none"]) == 2
    assert f"{server.url}: fatal: {message}" in capsys.readouterr().err
