"""An endpoint: where a server is, which headers requests carry, what they trust; over both HTTP and gRPC."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

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
}


@pytest.mark.parametrize(("endpoint", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_where_grpc_is(endpoint: Endpoint, address: str) -> None:
    assert endpoint.grpc_address() == address


class Certificates:
    """A private authority, a server's certificate and a client's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._openssl("req", "-x509", "-subj", "/CN=authority", "-out", "ca.pem", "-keyout", "ca.key")
        self._signed("server", "subjectAltName=IP:127.0.0.1")
        self._signed("client", "extendedKeyUsage=clientAuth")

    def _signed(self, name: str, extension: str) -> None:
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", extension)
        self._openssl("req", "-x509", *signed, "-subj", f"/CN={name}", "-out", f"{name}.pem", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments, "-nodes", "-newkey", "rsa:2048", "-days", "2"],
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
def over_http(certificates: Certificates) -> Iterator[tuple[int, list[str]]]:
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
    context.load_cert_chain(certificates.place / "server.pem", certificates.place / "server.key")
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
def over_grpc(certificates: Certificates) -> Iterator[tuple[int, list[str]]]:
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
    pair = (certificates.pem("server.key"), certificates.pem("server.pem"))
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials([pair], certificates.pem("ca.pem"), require_client_auth=True),
    )
    server.start()
    yield port, seen
    server.stop(None).wait()


HEADERS = {"authorization": "Bearer abc"}


def test_http_carries_headers_and_both_sides_are_proven(certificates: Certificates) -> None:
    with over_http(certificates) as (port, seen):
        endpoint = Endpoint(f"https://127.0.0.1:{port}", 10, headers=HEADERS, tls=certificates.tls)
        assert Client(endpoint).live()
        assert seen == ["Bearer abc"]
        with pytest.raises(Stop, match=r"the server cannot be reached: .*certificate"):
            Client(Endpoint(endpoint.url, 10)).live()


def test_a_response_over_tls_ends_at_its_deadline(certificates: Certificates) -> None:
    with over_http(certificates) as (port, _), pytest.raises(Stop, match=r"not complete within 0\.3 s"):
        Client(Endpoint(f"https://127.0.0.1:{port}", 10, 0.3, tls=certificates.tls)).index()


def test_grpc_carries_headers_and_both_sides_are_proven(certificates: Certificates) -> None:
    with over_grpc(certificates) as (port, seen):
        endpoint = Endpoint("https://127.0.0.1", 10, None, f"127.0.0.1:{port}", HEADERS, certificates.tls)
        with Rpc(endpoint) as rpc:
            rpc.check()
        assert seen == ["Bearer abc"]
        with Rpc(Endpoint(endpoint.url, 2, grpc=endpoint.grpc)) as rpc, pytest.raises(Stop, match="cannot be reached"):
            rpc.check()


@pytest.mark.parametrize("ask", [lambda e: Client(e).live(), Rpc], ids=["HTTP", "gRPC"])
def test_a_file_of_tls_that_cannot_be_used_is_named(tmp_path: Path, ask: Callable[[Endpoint], object]) -> None:
    (tmp_path / "empty.pem").touch()
    for name, why in (("none.pem", "No such file"), ("empty.pem", "")):
        endpoint = Endpoint("https://127.0.0.1:1", tls=Tls(tmp_path / name))
        with pytest.raises(Stop, match=rf"{name}: fatal: the file cannot be used for TLS: {why}.* \[server-tls\]"):
            ask(endpoint)
