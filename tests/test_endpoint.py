"""An endpoint: where a server is, which headers requests carry, what they trust; over both HTTP and gRPC."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.speaking import Said, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint, Tls
from tritonrepo.server.rpc import Rpc

ADDRESSES = {
    "the port after HTTP's": (Endpoint("http://triton.example:8500"), "triton.example:8501"),
    "no scheme and no port": (Endpoint("triton.example"), "triton.example:8001"),
    "an IPv6 address": (Endpoint("http://[::1]:9000/behind"), "[::1]:9001"),
    "named": (Endpoint("http://triton.example", grpc="other.example:443"), "other.example:443"),
    "named as a URL": (Endpoint("http://triton.example", grpc="grpc://other.example:443/"), "other.example:443"),
    "named with TLS": (Endpoint("http://triton.example", grpc="grpcs://[::1]:443"), "[::1]:443"),
}


@tabled(("endpoint", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_where_grpc_is(endpoint: Endpoint, address: str) -> None:
    assert endpoint.grpc_address() == address


SECURE = {
    ("http://h", None): False, ("https://h", None): True, ("https://h", "h:1"): True, ("http://h", "h:1"): False,
    ("http://h", "grpcs://h:1"): True, ("http://h", "https://h:1"): True, ("https://h", "grpc://h:1"): False,
    ("https://h", "http://h:1"): False,
}  # fmt: skip


def test_grpc_has_tls_as_its_own_address_says_else_as_the_url() -> None:
    assert {key: Endpoint(key[0], grpc=key[1]).grpc_secure() for key in SECURE} == SECURE


@tabled("grpc", ["h", "h:x", "h:1/x", "ftp://h:1", "://h:1", "h:123456", ":1", "grpc://"])
def test_what_is_not_the_address_of_a_grpc_server_is_told(grpc: str) -> None:
    with pytest.raises(Stop, match=r"not the address of a gRPC server \[server-url\]\n  Use the form `HOST:PORT`, or"):
        Rpc(Endpoint("http://h", grpc=grpc))


class Certificates:
    """A private authority, a server's certificate, one that has expired, and a client's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._openssl("req", "-x509", "-subj", "/CN=authority", "-out", "ca.pem", "-keyout", "ca.key")
        self._signed("server", "subjectAltName=IP:127.0.0.1")
        self._signed("client", "extendedKeyUsage=clientAuth")
        past = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        self._signed("expired", "subjectAltName=IP:127.0.0.1", *past)

    def _signed(self, name: str, extension: str, *more: str) -> None:
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", extension, *(more or ("-days", "2")))
        self._openssl("req", "-x509", *signed, "-subj", f"/CN={name}", "-out", f"{name}.pem", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments, "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            cwd=self.place,
            check=True,
            capture_output=True,
        )

    def pem(self, name: str) -> bytes:
        return (self.place / name).read_bytes()

    @property
    def tls(self) -> Tls:
        return Tls(self.place / "ca.pem", self.place / "client.pem", self.place / "client.key")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def over_http(certificates: Certificates, name: str = "server") -> Iterator[tuple[int, list[str]]]:
    """A server that requires a client certificate, and records the tokens that requests carry."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("authorization", ""))
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()
            with suppress(OSError):
                for _ in range(300):
                    self.wfile.write(b" ")
                    time.sleep(0.01)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
            """Keep quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.place / f"{name}.pem", certificates.place / f"{name}.key")
    context.load_verify_locations(certificates.place / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_port, seen
        server.shutdown()
        thread.join()


@contextmanager
def over_grpc(certificates: Certificates, name: str = "server") -> Iterator[tuple[int, list[str]]]:
    """The same over gRPC."""
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    seen: list[str] = []

    class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # it has no types
        def ServerLive(  # noqa: N802  the protocol's name
            self,
            request: object,  # noqa: ARG002  the protocol's signature
            context: grpc.ServicerContext,
        ) -> service_pb2.ServerLiveResponse:
            seen.append(dict(context.invocation_metadata()).get("authorization", ""))
            return service_pb2.ServerLiveResponse(live=True)

    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    pair = (certificates.pem(f"{name}.key"), certificates.pem(f"{name}.pem"))
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials([pair], certificates.pem("ca.pem"), require_client_auth=True),
    )
    server.start()
    yield port, seen
    server.stop(None).wait()


Serve = Callable[[Certificates, str], AbstractContextManager[tuple[int, list[str]]]]

HEADERS = {"authorization": "Bearer abc"}


def test_http_carries_headers_and_both_sides_are_proven(certificates: Certificates) -> None:
    with over_http(certificates) as (port, seen):
        endpoint = Endpoint(f"https://127.0.0.1:{port}", 10, headers=HEADERS, tls=certificates.tls)
        assert Client(endpoint).live()
        assert seen == ["Bearer abc"]


def test_a_response_over_tls_ends_at_its_deadline(certificates: Certificates) -> None:
    with over_http(certificates) as (port, _), pytest.raises(Stop, match=r"not complete within 0\.3 s"):
        Client(Endpoint(f"https://127.0.0.1:{port}", 10, 0.3, tls=certificates.tls)).index()


def test_grpc_carries_headers_and_both_sides_are_proven(certificates: Certificates) -> None:
    with over_grpc(certificates) as (port, seen):
        endpoint = Endpoint("https://127.0.0.1", 10, None, f"127.0.0.1:{port}", HEADERS, certificates.tls)
        with Rpc(endpoint) as rpc:
            rpc.check()
        assert seen == ["Bearer abc"]


Ask = Callable[[str, str, Tls], object]
"""Sends a request to a host and a port, with or without TLS."""


def ask_http(scheme: str, place: str, tls: Tls) -> object:
    return Client(Endpoint(f"http{scheme}://{place}", 10, tls=tls)).live()


def ask_grpc(scheme: str, place: str, tls: Tls) -> None:
    with Rpc(Endpoint(f"http{scheme}://unused", 10, grpc=place, tls=tls)) as rpc:
        rpc.check()


class Wrong(NamedTuple):
    """How a server is asked wrongly, and what is said about it."""

    says: str
    hint: str
    scheme: str = "s"
    host: str = "127.0.0.1"
    tls: tuple[str, ...] = ("ca.pem", "client.pem", "client.key")
    certificate: str = "server"


WRONG = {
    "without TLS": Wrong("the port uses TLS, but the request was sent without it", "s://", scheme=""),
    "an authority of the system": Wrong("not signed by an authority that this machine trusts: ", "--ca", tls=()),
    "another authority": Wrong("is not signed by an authority in {0}/client.pem: ", "client.pem", tls=("client.pem",)),
    "another host": Wrong("the server's certificate is for another host than localhost", "name", host="localhost"),
    "no certificate": Wrong("the server requires a client certificate", "--cert", tls=("ca.pem",)),
    "expired": Wrong("the server's certificate has expired", "Renew", tls=("ca.pem",), certificate="expired"),
}


@pytest.mark.parametrize(("ask", "serve"), [(ask_http, over_http), (ask_grpc, over_grpc)], ids=["HTTP", "gRPC"])
def test_each_mismatch_of_tls_has_its_own_message(certificates: Certificates, ask: Ask, serve: Serve) -> None:
    with serve(certificates, "server") as (good, _), serve(certificates, "expired") as (expired, _):
        for name, wrong in WRONG.items():
            port = good if wrong.certificate == "server" else expired
            files = [certificates.place / file for file in wrong.tls]
            with pytest.raises(Stop) as stop:
                ask(wrong.scheme, f"{wrong.host}:{port}", Tls(*files))
            (told,) = stop.value.diagnostics
            assert (told.rule, told.severity) == ("server-unreachable", "fatal"), name
            assert "cannot be reached: " in told.message, name
            assert wrong.says.format(certificates.place) in told.message, (name, told.message)
            assert wrong.hint in told.hint, (name, told.hint)


def test_the_wrong_protocol_on_a_port_is_named(certificates: Certificates) -> None:
    with speaking(lambda _: Said()) as plain, over_http(certificates) as (secure, _), plain_grpc() as grpc:
        place = plain.url.removeprefix("http://")
        rows: list[tuple[Ask, str, str, str]] = [
            (ask_http, "s", place, "the port speaks HTTP without TLS"),
            (ask_http, "s", grpc, "the port speaks gRPC without TLS"),
            (ask_http, "", grpc, "the port speaks gRPC, not HTTP"),
            (ask_grpc, "", place, "the port speaks HTTP, not gRPC"),
            (ask_grpc, "s", place, "the port speaks HTTP without TLS"),
            (ask_grpc, "s", grpc, "the port speaks gRPC without TLS"),
            (ask_grpc, "s", f"127.0.0.1:{secure}", "the port uses TLS, but does not offer HTTP/2, which gRPC needs"),
            (ask_grpc, "", grpc, "the port speaks gRPC, but it is not the port of a Triton server"),
            (ask_grpc, "", "127.0.0.1:1", "nothing listens on port 1"),
            (ask_http, "", "127.0.0.1:1", "nothing listens on port 1"),
            (ask_http, "s", "127.0.0.1:1", "nothing listens on port 1"),
        ]
        for ask, scheme, where, says in rows:
            with pytest.raises(Stop) as stop:
                ask(scheme, where, certificates.tls if scheme else Tls())
            assert says in stop.value.diagnostics[0].message, (says, str(stop.value))


@contextmanager
def plain_grpc() -> Iterator[str]:
    """A gRPC server without TLS and without any service."""
    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def encrypted(place: Path) -> Tls:
    subprocess.run(
        [
            "openssl",
            "ec",
            "-in",
            place / "client.key",
            "-aes128",
            "-passout",
            "pass:word",
            "-out",
            place / "locked.key",
        ],
        check=True,
        capture_output=True,
    )
    return Tls(place / "ca.pem", place / "client.pem", place / "locked.key")


def test_a_key_with_a_password_is_not_asked_for_on_the_terminal(certificates: Certificates) -> None:
    with pytest.raises(Stop, match=r"used for TLS: the key is encrypted with a password \[server-tls\]"):
        encrypted(certificates.place).context()


@pytest.mark.parametrize("ask", [lambda e: Client(e).live(), Rpc], ids=["HTTP", "gRPC"])
def test_a_file_of_tls_that_cannot_be_used_is_named(tmp_path: Path, ask: Callable[[Endpoint], object]) -> None:
    (tmp_path / "empty.pem").touch()
    for name, why in (("none.pem", "No such file"), ("empty.pem", "")):
        endpoint = Endpoint("https://127.0.0.1:1", tls=Tls(tmp_path / name))
        with pytest.raises(Stop, match=rf"{name}: fatal: the file cannot be used for TLS: {why}.* \[server-tls\]"):
            ask(endpoint)


def test_a_certificate_and_its_key_may_be_in_one_file(certificates: Certificates) -> None:
    both = certificates.place / "both.pem"
    both.write_bytes(certificates.pem("client.pem") + certificates.pem("client.key"))
    tls = Tls(certificates.place / "ca.pem", both)
    with over_http(certificates) as (http, _), over_grpc(certificates) as (grpc, _):
        assert ask_http("s", f"127.0.0.1:{http}", tls)
        ask_grpc("s", f"127.0.0.1:{grpc}", tls)
