"""Whose bucket it is: what reaches AWS, and what a server that reads the bucket itself is given for that."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.processes import killed
from tests.servers.gcs import GCSServer
from tests.servers.s3 import CREDENTIALS, KEY, SECRET, S3Server
from tests.speaking import Said, plain, speaking
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.client import Client
from tritonrepo.server.ports import Ports
from tritonrepo.stores import open_store, server_environment
from tritonrepo.tree import of_text

ON_AWS = "s3://models/prod"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
GIVEN = {**KEYS, "AWS_SESSION_TOKEN": "", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's AWS configuration, empty; nothing is set in the environment, and no other file is read."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "config"


SET: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "keys": (KEYS, GIVEN),
    "a region": (
        {**KEYS, "AWS_DEFAULT_REGION": "eu-central-1"},
        {**GIVEN, "AWS_DEFAULT_REGION": "eu-central-1"},
    ),
    "a session": (
        {**KEYS, "AWS_SESSION_TOKEN": "token"},
        {**GIVEN, "AWS_SESSION_TOKEN": "token"},
    ),
    "nothing": ({}, {}),
}


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(("variables", "given"), SET.values(), ids=SET)
def test_a_server_is_given_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], given: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert server_environment(ON_AWS, {}) == given
    assert server_environment(ON_AWS, {"TRITON_CLOUD_CREDENTIAL_PATH": ""}) == {}


PROFILES = {
    "keys": (
        "[profile own]\nregion = eu-west-3\naws_access_key_id = key\naws_secret_access_key = secret\n",
        {**GIVEN, "AWS_DEFAULT_REGION": "eu-west-3"},
    ),
    "a session": (
        "[profile own]\naws_access_key_id = key\naws_secret_access_key = secret\naws_session_token = token\n",
        {**GIVEN, "AWS_SESSION_TOKEN": "token"},
    ),
    "a program that knows them": (
        "[profile own]\nregion = eu-west-3\ncredential_process = cat {place}/said\n",
        {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_DEFAULT_REGION": "eu-west-3"},
    ),
}
SAID = {"Version": 1, "AccessKeyId": "key", "SecretAccessKey": "secret", "SessionToken": "token"}
"""What a program prints: AWS SDKs and Tools Reference Guide, process credential provider."""


@pytest.mark.parametrize(("text", "given"), PROFILES.values(), ids=PROFILES)
def test_a_server_is_given_what_a_profile_says(
    config: Path, monkeypatch: pytest.MonkeyPatch, text: str, given: dict[str, str]
) -> None:
    config.write_text(text.format(place=config.parent), "utf-8")
    (config.parent / "said").write_text(json.dumps(SAID), "utf-8")
    monkeypatch.setenv("AWS_PROFILE", "own")
    assert server_environment(ON_AWS, {}) == given


def test_a_server_is_given_the_credentials_of_a_single_sign_on(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `aws sso login`, the token is in a file, and the portal has the credentials: GetRoleCredentials."""
    start = "https://own.example/start"
    config.write_text(
        f"[profile own]\nregion = eu-west-3\nsso_start_url = {start}\nsso_region = eu-west-3\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n",
        "utf-8",
    )
    token = {"startUrl": start, "region": "eu-west-3", "accessToken": "access", "expiresAt": "2999-01-01T00:00:00Z"}
    (config.parent / f"{hashlib.sha1(start.encode()).hexdigest()}.json").write_text(json.dumps(token), "utf-8")
    said = {"accessKeyId": "key", "secretAccessKey": "secret", "sessionToken": "token", "expiration": 32503680000000}
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(config.parent))
    monkeypatch.setenv("AWS_PROFILE", "own")
    with speaking(lambda _: plain({"roleCredentials": said})) as portal:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
        found = server_environment(ON_AWS, {})
    assert found == {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_DEFAULT_REGION": "eu-west-3"}
    path = "/federation/credentials?role_name=reader&account_id=123456789012"
    assert [(asked.method, asked.path) for asked in portal.asked] == [("GET", path)]


def test_a_single_sign_on_that_is_over_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(
        "[profile own]\nsso_start_url = https://own.example/start\nsso_region = eu-west-3\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n",
        "utf-8",
    )
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(config.parent))
    monkeypatch.setenv("AWS_PROFILE", "own")
    with pytest.raises(Stop, match=r"s3://models/prod: fatal: cannot open: .*\n  Run `aws sso login`\.$"):
        server_environment(ON_AWS, {})


REGIONS = {
    "none": ("", "models.s3.amazonaws.com:443"),
    "one": ("region = eu-central-1\n", "models.s3.eu-central-1.amazonaws.com:443"),
}
ELSEWHERE = {
    "nothing": "",
    "the profile": "endpoint_url = {other}\n",
    "the profile's services": "services = own\n[services own]\ns3 =\n  endpoint_url = {other}\n",
}


@pytest.mark.parametrize(("region", "host"), REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("text", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_bucket_without_an_endpoint_is_on_aws_whatever_a_profile_says(
    config: Path, monkeypatch: pytest.MonkeyPatch, region: str, host: str, text: str
) -> None:
    """Triton reads no endpoint from there, so it would look for the bucket on AWS."""
    keys = "aws_access_key_id = key\naws_secret_access_key = secret\n"
    with speaking(lambda _: Said(b"", 403)) as other, speaking(lambda _: Said(b"", 403)) as proxy:
        config.write_text(f"[profile own]\n{keys}{region}{text.format(other=other.url)}", "utf-8")
        monkeypatch.setenv("AWS_PROFILE", "own")
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        store, prefix = open_store(ON_AWS)
        with pytest.raises(Stop, match=r"s3://models/prod: fatal: cannot list: "):
            store.scan(prefix)
    assert [(asked.method, asked.path) for asked in proxy.asked] == [("CONNECT", host)]
    assert other.asked == []


CONFIG = """backend: "python"
max_batch_size: 0
input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }
"""


def uploaded(server: S3Server | GCSServer) -> str:
    uri = server.fresh()
    store, prefix = open_store(uri)
    store.put(f"{prefix}/m/config.pbtxt", of_text(CONFIG))
    store.put(
        f"{prefix}/m/1/model.py", of_text("class TritonPythonModel:\n    def execute(self, requests): return []\n")
    )
    return uri


def environment_of(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(line.split("=", 1) for line in text.split("\0") if line)


OF_PROFILE = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "eu-west-3"}
PASSED: dict[str, tuple[str, dict[str, str]]] = {
    "from a profile": ("", {**OF_PROFILE, "AWS_SESSION_TOKEN": ""}),
    "from a file of its own": ("credentials.json", {"AWS_SESSION_TOKEN": "of other keys"}),
}


@pytest.mark.parametrize(("file", "passed"), PASSED.values(), ids=PASSED)
def test_the_real_server_reads_a_bucket_with_the_credentials_of_its_user(
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    file: str,
    passed: dict[str, str],
) -> None:
    """The file's form: Triton, docs/user_guide/model_repository.md, Cloud Storage with Credential variables."""
    uri = uploaded(s3_server)
    config: Path = request.getfixturevalue("config")
    config.write_text(
        f"[profile own]\nregion = eu-west-3\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n", "utf-8"
    )
    monkeypatch.setenv("AWS_PROFILE", "own")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of other keys")
    if file:
        said = {"secret_key": SECRET, "key_id": KEY, "region": "us-east-1", "session_token": "", "profile": ""}
        (tmp_path / file).write_text(json.dumps({"s3": {"": said}}), "utf-8")
        monkeypatch.setenv("TRITON_CLOUD_CREDENTIAL_PATH", str(tmp_path / file))
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120)
    with killed(serve(uri, chosen, Workspace(os.environ))) as server:
        assert [(model.name, model.state) for model in Client(server.endpoint).index()] == [("m", "READY")]
        seen = environment_of(server.pid)
    assert {name: seen[name] for name in GIVEN if name in seen} == passed


def test_the_real_server_reads_a_bucket_of_google(gcs_server: GCSServer) -> None:
    """Its client knows the emulator by another variable than ours."""
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120)
    with killed(serve(uploaded(gcs_server), chosen, Workspace(os.environ))) as server:
        assert [(model.name, model.state) for model in Client(server.endpoint).index()] == [("m", "READY")]
        assert environment_of(server.pid)["CLOUD_STORAGE_EMULATOR_ENDPOINT"] == gcs_server.endpoint
