"""What Google Cloud Storage may reply: sent again, understood, or told; whose credentials are used and passed on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage import retry
from requests.exceptions import ConnectTimeout

from tests.fake_store import Fake, Then, Told
from tests.proxy import Reply, Request, proxy
from tests.servers.gcs import GCSServer, refusal
from tests.speaking import plain, speaking
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import gcs, gcs_bodies, gcs_client, gcs_refusals, open_store, server_environment
from tritonrepo.stores.gcs_uri import parse
from tritonrepo.stores.store import Conflict, Late, Store, Tag, Write
from tritonrepo.tree import Directory, File, of_bytes

KEYS = "Set GOOGLE_APPLICATION_CREDENTIALS to the path of a key file, or run `gcloud auth application-default login`."
GRANTS = (
    "Grant this account storage.objects.list, storage.objects.get and, to push, storage.objects.create and"
    " storage.objects.delete. A server also needs storage.buckets.get."
)
API = "Check that this is the API of Google Cloud Storage or of an emulator: STORAGE_EMULATOR_HOST is its URL."
LATER = "Run the command again later to continue."
URI = "gs://models/prod"
MIB = 1 << 20


def said(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


LISTED = said({"items": []})
WRITTEN = said({"name": "r/a", "generation": "7", "size": "4"})
BODY = Reply(200, {}, b"0123456789")
BUSY = refusal(429, "rateLimitExceeded", "slower")
DENIED = refusal(403, "forbidden", "no")


TOLD = Told()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A fake store: one for all tests, as it takes half a second to end."""
    with proxy("http://127.0.0.1:1", TOLD.reply) as given:
        yield given


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> list[float]:
    """The pauses between requests, which nobody waits for."""
    pauses: list[float] = []
    monkeypatch.setattr(gcs_client, "pause", pauses.append)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
    return pauses


def answering(*replies: Reply | None, then: Then = LISTED) -> AbstractContextManager[Fake]:
    return TOLD.answering(URI, *replies, then=then)


def asked(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}


@pytest.mark.parametrize("reply", [BUSY, refusal(503, "backendError", "x"), refusal(408, "x", "x"), None])
def test_a_store_that_is_there_but_has_no_time_is_asked_six_times(slept: list[float], reply: Reply | None) -> None:
    with answering(*[reply] * 5) as fake:
        assert fake.store.scan(fake.prefix) == {}
        assert len(fake.asked) == 6
    assert slept == [0.5, 1, 2, 4, 8]
    with answering(then=reply) as fake:
        with pytest.raises(Stop):
            fake.store.scan(fake.prefix)
        assert len(fake.asked) == 6


WORDS: dict[str, tuple[Reply, str, str]] = {
    "no permission": (DENIED, "the bucket is not public, and no credentials were found (403)", KEYS),
    "no credentials": (refusal(401, "required", "x"), "the bucket is not public, and no credentials were found", KEYS),
    "no bucket": (refusal(404, "notFound", "x"), "the bucket does not exist (404)", "Create the bucket, or fix the"),
    "fewer requests": (BUSY, "the store keeps asking for fewer requests (429)", LATER),
    "a failure": (refusal(500, "internal", "x"), "the store cannot handle the request at the moment (500)", LATER),
    "other words": (refusal(400, "invalid", "Bad name"), "Bad name (400)", API),
    "no words": (Reply(400, {}, b"<html>"), "the store refused the request (400)", API),
    "no JSON": (Reply(200, {}, b"<html>"), "the store's reply has no JSON", API),
    "no generation": (said({"items": [{"name": "prod/a", "size": "1"}]}), "the store's reply has no generation", API),
    "no size": (said({"items": [{"name": "prod/a", "generation": "1"}]}), "the store's reply has no size", API),
}


@tabled(("reply", "message", "hint"), WORDS.values(), ids=WORDS)
def test_what_a_store_refuses_is_told_in_one_message(reply: Reply, message: str, hint: str) -> None:
    with answering(then=reply) as fake, pytest.raises(Stop) as stop:
        fake.store.scan(fake.prefix)
    (told,) = stop.value.diagnostics
    assert told.at.path.startswith(URI)
    assert told.severity is Severity.FATAL
    assert told.message.startswith(f"cannot list: {message}")
    assert told.hint.startswith(hint)


def of_api(code: int, reason: str, words: str) -> api.GoogleAPICallError:
    """Return the error that the client makes of a refusal."""
    reply = refusal(code, reason, words)

    class Response:
        status_code = code

        def json(self) -> object:
            return json.loads(reply.body)

    return api.from_http_status(code, "POST …", response=Response())


LOGIN = "Run `gcloud auth application-default login`."
IAT = "invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
KNOWN: dict[str, tuple[Exception, str, str]] = {
    "no permission": (of_api(403, "forbidden", "x"), "this account does not have the permission (403)", GRANTS),
    "billing": (of_api(403, "accountDisabled", "The billing account is closed."), "The billing account is clo", API),
    "a token that is no longer known": (of_api(401, "x", "x"), "the store does not accept the credentials (401)", KEYS),
    "another time": (auth.RefreshError(IAT), "this machine's clock differs too much from the store's", "Set this mach"),
    "an old login": (auth.RefreshError("invalid_grant: Token has been expired or revoked."), "the login has", LOGIN),
    "a login to be renewed": (auth.RefreshError("Reauthentication is needed."), "the login has expired", LOGIN),
    "an account that is gone": (auth.RefreshError("invalid_grant: Invalid grant: account not found"), "invalid_", KEYS),
    "a key file": (auth.DefaultCredentialsError("File x was not found."), "File x was not found", "Fix GOOGLE_APP"),
    "no network": (auth.TransportError("no route"), "the server that renews the credentials does not respond", "Check"),
}


@tabled(("error", "message", "hint"), KNOWN.values(), ids=KNOWN)
def test_what_an_account_may_not_is_told_in_one_message(error: Exception, message: str, hint: str) -> None:
    with pytest.raises(Stop) as stop, gcs_refusals.explained(URI, "write", lambda: False):
        raise error
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-access", Severity.FATAL, URI)
    assert told.message.startswith(f"cannot write: {message}")
    assert told.hint.startswith(hint)


def test_an_endpoint_that_is_not_there_is_told_at_once(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
    store, prefix = open_store(URI)
    with pytest.raises(Stop, match="gs://models/prod: fatal: cannot list: the store does not respond"):
        store.scan(prefix)
    assert slept == []


def test_a_store_that_has_replied_once_gets_more_time(slept: list[float]) -> None:
    connection = gcs_client.Connection(parse(URI))
    given: list[object] = []

    def call(error: Exception | None, *, timeout: object, retry: object) -> None:  # noqa: ARG001  the client's own
        given.append(timeout)
        if error:
            raise error

    with pytest.raises(ConnectTimeout):
        connection.ask(partial(call, ConnectTimeout()))
    connection.ask(partial(call, None))
    assert (given, slept) == ([(1.4, 20)] * 2, [])
    with pytest.raises(ConnectTimeout):
        connection.ask(partial(call, ConnectTimeout()))
    assert given[2:] == [(5, 60)] * 6


UNREACHABLE = {
    "a proxy": ({"HTTP_PROXY": "http://127.0.0.1:1"}, "the proxy does not respond", "Check HTTPS_PROXY"),
    "no port": ({"STORAGE_EMULATOR_HOST": "http://h:99999"}, "the emulator's URL cannot be used: ", "Set STORAGE_EMUL"),
    "no scheme of it": ({"STORAGE_EMULATOR_HOST": "ftp://h"}, "the emulator's URL cannot be used: ", "Set STORAGE_EM"),
    "no certificate": ({"STORAGE_EMULATOR_HOST": "https://{own}"}, "[SSL", "Check the certificates"),
}


@pytest.mark.parametrize(("variables", "message", "hint"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_what_keeps_requests_from_the_store_is_told(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, variables: dict[str, str], message: str, hint: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(own=urlsplit(endpoint).netloc))
    with answering() as fake, pytest.raises(Stop) as stop:
        fake.store.scan(fake.prefix)
    (told,) = stop.value.diagnostics
    assert told.message.startswith(f"cannot list: {message}")
    assert told.hint.startswith(hint)


def test_a_page_token_that_comes_again_ends_the_listing() -> None:
    page = said({"items": [{"name": "prod/a", "generation": "1", "size": "1"}], "nextPageToken": "t"})
    with answering(*[page] * 4) as fake, pytest.raises(Stop, match="the store's reply has no new page token"):
        fake.store.scan(fake.prefix)
    assert [asked(each).get("pageToken") for each in fake.asked] == [None, "t"]
    assert [asked(each)["prefix"] for each in fake.asked] == ["prod/"] * 2


ONE = said({"items": [{"name": "prod/a", "generation": "5", "size": "10"}]})


def test_a_part_is_asked_for_by_its_bytes_and_only_of_the_generation_that_was_listed() -> None:
    with answering(ONE, then=BODY) as fake:
        entry = fake.store.scan(fake.prefix)["a"]
        assert isinstance(entry, File)
        entry.read(2, 5)
        assert entry.read(10, 5) == b""
    (_, part) = fake.asked
    ranges = {name.lower(): value for name, value in part.headers.items()}["range"]
    assert (ranges, asked(part)["ifGenerationMatch"]) == ("bytes=2-6", "5")


@pytest.mark.parametrize("reply", [refusal(404, "notFound", "x"), refusal(412, "conditionNotMet", "x")])
def test_an_object_that_is_gone_or_another_since_its_scan_is_a_failure_of_this_run(reply: Reply) -> None:
    with answering(ONE, then=reply) as fake:
        entry = fake.store.scan(fake.prefix)["a"]
        assert isinstance(entry, File)
        with pytest.raises(Stop) as stop:
            entry.read(0, 5)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-changed", Severity.ERROR, f"{URI}: prod/a")


def test_a_body_that_is_cut_off_is_asked_for_again() -> None:
    with answering(ONE, BODY._replace(sent=4), then=BODY) as fake:
        entry = fake.store.scan(fake.prefix)["a"]
        assert isinstance(entry, File)
        assert entry.content() == b"0123456789"


def test_an_object_that_servers_would_unpack_is_not_read() -> None:
    """Source: Google Cloud, "Transcoding of gzip-compressed files": who does not accept gzip gets other bytes."""
    packed = said({"items": [{"name": "prod/a", "generation": "5", "size": "10", "contentEncoding": "gzip"}]})
    with answering(packed) as fake:
        entry = fake.store.scan(fake.prefix)["a"]
        assert isinstance(entry, File)
        with pytest.raises(Stop, match="prod/a: fatal: the object has Content-Encoding: gzip"):
            entry.content()
    assert len(fake.asked) == 1


def test_an_object_that_changes_between_two_requests_is_asked_for_four_times() -> None:
    meta, gone = said({"name": "prod/a", "generation": "5", "size": "10"}), refusal(412, "conditionNotMet", "x")
    with answering(meta, gone, meta, gone, meta, then=BODY) as fake:
        assert fake.store.fetch("prod/a") == (b"0123456789", "5")
    with answering(*[meta, gone] * 4) as fake:
        with pytest.raises(Stop, match="overwritten or removed while it was being read"):
            fake.store.fetch("prod/a")
        assert len(fake.asked) == 8


FILE = of_bytes(b"mine")
TAG = Tag("5")
WRITES: dict[str, tuple[Callable[[Store], object], str | None]] = {
    "where none is": (lambda store: store.put("r/a", FILE, if_absent=True), "0"),
    "over what was seen": (lambda store: store.put("r/a", FILE, if_match=TAG), "5"),
    "a ticket": (lambda store: store.ticket(Write("r/a", FILE, if_absent=True), 60)(), "0"),
    "a ticket over what was seen": (lambda store: store.ticket(Write("r/a", FILE, if_match=TAG), 60)(), "5"),
    "a ticket to remove what was seen": (lambda store: store.ticket(Write("r/a", None, if_match=TAG), 60)(), "5"),
    "whatever is there": (lambda store: store.put("r/a", FILE), None),
    "a ticket whatever is there": (lambda store: store.ticket(Write("r/a", FILE), 60)(), None),
    "a removal": (lambda store: store.delete("r/a"), None),
}


@tabled(("write", "condition"), WRITES.values(), ids=WRITES)
def test_a_condition_is_a_generation_and_a_conflict_if_it_does_not_hold(
    write: Callable[[Store], object], condition: str | None
) -> None:
    with answering(then=WRITTEN) as fake:
        write(fake.store)
        assert [asked(each).get("ifGenerationMatch") for each in fake.asked] == [condition]
    for status in (412, 409) if condition else ():
        with answering(then=refusal(status, "conditionNotMet", "x")) as fake, pytest.raises(Conflict, match=r"^r/a"):
            write(fake.store)


def test_a_large_object_is_given_up_after_the_time_of_one_part(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(retry, "DEFAULT_RETRY", retry.DEFAULT_RETRY.with_timeout(0.1).with_delay(initial=0.01))
    begun = Reply(200, {"Location": f"{endpoint}/upload?upload_id=u"}, b"")
    with answering(begun, then=refusal(503, "backendError", "x")) as fake:
        with pytest.raises(Stop, match=r"r/w: fatal: cannot write: the store cannot handle the request .* \(503\)"):
            fake.store.put("r/w", of_bytes(b"x" * (9 * MIB)), if_absent=True)
        first, second, *_ = fake.asked
    assert (first.method, asked(first)["ifGenerationMatch"]) == ("POST", "0")
    assert (second.method, len(second.body)) == ("PUT", 9 * MIB)


def test_a_write_that_gets_no_generation_is_told() -> None:
    with (
        answering(then=said({"name": "r/a"})) as fake,
        pytest.raises(Stop, match=r"r/a: fatal: cannot continue: the store's reply has no generation \[store-reply\]"),
    ):
        fake.store.put("r/a", FILE)


def test_a_prepared_write_is_not_sent_again_after_its_time() -> None:
    with answering(then=BUSY) as fake:
        send = fake.store.ticket(Write("r/a", FILE), 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gcs_client, "pause", lambda _: patch.setattr(gcs_client, "awake", lambda: float("inf")))
            with pytest.raises(Late):
                send()
        assert len(fake.asked) == 1


def test_a_prepared_write_is_copied_on_its_condition_and_removed() -> None:
    copied = said({"name": "r/a", "generation": "9", "size": "4"})
    with answering(LISTED, WRITTEN, copied, then=Reply(204, {}, b"")) as fake:
        fake.store.revoke("r.tritonrepo/prepared")
        assert fake.store.ticket(Write("r/a", FILE, if_match=TAG), 60)() == "9"
    (_, upload, copy, delete) = fake.asked
    place = json.loads(upload.body[upload.body.index(b"{") : upload.body.index(b"}") + 1])["name"]
    assert place.startswith("r.tritonrepo/prepared/")
    quoted = place.replace("/", "%2F")
    assert copy.key == f"/storage/v1/b/models/o/{quoted}/copyTo/b/models/o/r%2Fa"
    assert asked(copy)["ifGenerationMatch"] == "5"
    assert (delete.method, delete.key) == ("DELETE", f"/storage/v1/b/models/o/{quoted}")


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    with pytest.raises(Stop, match=r"need google-cloud-storage: .*\n  Run `pip install 'tritonrepo\[gcs\]'`."):
        open_store(URI)


def test_a_prefix_ends_at_its_slash_and_markers_are_directories(
    gcs_server: GCSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.endpoint)
    bucket = gcs_server.bucket()
    for key in ("r/m/1/", "r/m/2/", "r/m/2/x", "r.tritonrepo/release.json", "r2/y", "r/n/__pycache__/z"):
        gcs_server.write(f"gs://{bucket}/{key}", b"")
    store, prefix = open_store(f"gs://{bucket}/r/")
    found = dict(store.scan(prefix))
    assert isinstance(found.pop("m/2/x"), File)
    assert found == {"m/1": Directory()}


def test_a_listing_of_many_pages_is_whole(gcs_server: GCSServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.endpoint)
    uri = gcs_server.fresh()
    store, prefix = open_store(uri)
    for number in range(7):
        gcs_server.write(f"{uri}/{number}", b"")
    page = gcs.GCSStore._page  # noqa: SLF001  a page of the emulator has 1000 objects, as one of Google's
    monkeypatch.setattr(gcs.GCSStore, "_page", lambda *given, **how: page(*given, **how, page_size=3))
    assert list(store.scan(prefix)) == [*"0123456"]


def key_file(place: Path, kind: str) -> Path:
    place.write_text(json.dumps({"type": kind}), "utf-8")
    return place


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of gcloud's configuration, empty; there is no emulator, and no machine of Google's."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return tmp_path


def test_a_server_gets_the_key_file_that_is_used_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton does not look where gcloud puts it: core, src/filesystem/implementations/gcs.h, GCSCredential."""
    assert server_environment(URI, {}) == {}
    login = key_file(home / "application_default_credentials.json", "authorized_user")
    assert server_environment(URI, {}) == {"GOOGLE_APPLICATION_CREDENTIALS": str(login)}
    monkeypatch.chdir(home)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key_file(Path("own.json"), "service_account").name)
    assert server_environment(URI, {}) == {"GOOGLE_APPLICATION_CREDENTIALS": str(home / "own.json")}
    assert server_environment(URI, {"TRITON_CLOUD_CREDENTIAL_PATH": "x"}) == {}
    key_file(Path("own.json"), "external_account")
    with pytest.raises(Stop, match=r"Triton cannot read the credentials in .*own\.json"):
        server_environment(URI, {})


@pytest.mark.parametrize("name", ["STORAGE_EMULATOR_HOST", "CLOUD_STORAGE_EMULATOR_ENDPOINT"])
@pytest.mark.parametrize("value", ["http://localhost:4443", "http://localhost:4443/", "localhost:4443"])
def test_a_server_gets_the_emulator_that_is_used_here(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    key_file(home / "application_default_credentials.json", "authorized_user")
    monkeypatch.setenv(name, value)
    assert server_environment(URI, {}) == {"CLOUD_STORAGE_EMULATOR_ENDPOINT": "http://localhost:4443"}


LOGGED_IN = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}


def test_credentials_are_found_as_other_clients_find_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """The user's login is exchanged for a token, which every request then carries; without a login, there is none."""
    with speaking(lambda _: plain({"access_token": "token", "expires_in": 3600})) as tokens, answering() as fake:
        monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", tokens.url)
        for login, sent in (({}, None), (LOGGED_IN, "Bearer token")):
            if login:
                (home / "application_default_credentials.json").write_text(json.dumps(login), "utf-8")
            store = gcs.GCSStore(parse(URI))
            assert store._at.anonymous == (not login)  # noqa: SLF001  the real endpoint would be asked
            store._at.endpoint = endpoint  # noqa: SLF001
            store.scan("prod")
            headers = {name.lower(): value for name, value in fake.asked[-1].headers.items()}
            assert headers.get("authorization") == sent


def test_a_key_file_that_is_not_there_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton would go on without credentials."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / "none.json"))
    store, prefix = open_store(URI)
    with pytest.raises(Stop, match=r"cannot list: File .*none\.json was not found"):
        store.scan(prefix)


def test_a_repository_in_a_bucket_is_validated(
    gcs_server: GCSServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.endpoint)
    uri = gcs_server.fresh()
    gcs_server.write(f"{uri}/m/config.pbtxt", b'backend: "python"\nmax_batch_size: -1\n')
    gcs_server.write(f"{uri}/m/1/model.py", b"")
    assert run(["validate", uri]) == 1
    assert f"{uri}/m/config.pbtxt:2:17: error: " in capsys.readouterr().out


COMPLETE = said({"name": "r/a", "generation": "7", "size": "4", "crc32c": gcs_bodies.crc32c(b"mine")})
THEIRS = said({"name": "r/a", "generation": "8", "size": "4", "crc32c": gcs_bodies.crc32c(b"them")})
UNMET = refusal(412, "conditionNotMet", "x")


def test_a_write_whose_reply_was_lost_is_not_taken_for_that_of_a_rival() -> None:
    with answering(None, UNMET, then=COMPLETE) as fake:
        assert fake.store.put("r/a", FILE, if_absent=True) == "7"
        assert [request.method for request in fake.asked] == ["POST", "POST", "GET"]


@pytest.mark.parametrize("there", [THEIRS, refusal(404, "notFound", "x")], ids=["another content", "nothing"])
def test_a_rivals_write_after_a_lost_request_is_a_conflict(there: Reply) -> None:
    with answering(None, UNMET, then=there) as fake, pytest.raises(Conflict):
        fake.store.put("r/a", FILE, if_match=TAG)


def test_a_rivals_equal_content_is_a_conflict_where_no_reply_was_lost() -> None:
    """As when a push tests whether the store enforces conditions."""
    with answering(UNMET, then=COMPLETE) as fake:
        with pytest.raises(Conflict):
            fake.store.put("r/a", FILE, if_absent=True)
        assert len(fake.asked) == 1


def test_a_prepared_write_whose_upload_was_answered_twice_is_sent() -> None:
    """The condition on the prepared object fails only because it is there."""
    with answering(LISTED, None, UNMET, COMPLETE, COMPLETE, then=Reply(204, {}, b"")) as fake:
        fake.store.revoke("r.tritonrepo/prepared")
        assert fake.store.ticket(Write("r/a", FILE, if_match=TAG), 60)() == "7"


MANGLED = refusal(400, "invalid", 'Provided CRC32C "a" doesn\'t match calculated CRC32C "b".')


def test_a_body_that_the_store_finds_damaged_is_sent_again_and_then_told() -> None:
    with answering(MANGLED, then=COMPLETE) as fake:
        assert fake.store.put("r/a", FILE) == "7"
    with answering(then=MANGLED) as fake, pytest.raises(Stop, match="the content was damaged on its way"):
        fake.store.put("r/a", FILE)
