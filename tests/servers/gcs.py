"""A GCS server: fake-gcs-server, in memory, behind a proxy that holds the conditions on generations.

fake-gcs-server ignores every condition, except that an object does not exist in uploads of one request.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.proxy import Forward, Reply, Request, proxy
from tests.servers.packages import FAKE_GCS, installed
from tests.servers.serving import HOST, Service, free_ports, served

SHARED = "models"


class GCSServer(NamedTuple):
    """Where the server is, and where it is without the proxy."""

    endpoint: str
    careless: str

    def client(self) -> Any:  # noqa: ANN401  made by a library without types
        """A client that is not ours."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        return Client("tests", AnonymousCredentials(), client_options={"api_endpoint": self.careless})

    def bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"models-{uuid.uuid4().hex[:10]}"
        self.client().create_bucket(name)
        return name

    def uri(self, bucket: str, prefix: str) -> str:
        return f"gs://{bucket}/{prefix}"

    def fresh(self) -> str:
        """Return the URI of an unused prefix in a bucket that exists as soon as the server has started."""
        return self.uri(SHARED, f"{uuid.uuid4().hex[:10]}/prod")

    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""
        bucket, _, key = uri.removeprefix("gs://").partition("/")
        self.client().bucket(bucket).blob(key).upload_from_string(content)


@contextmanager
def fake_gcs(place: Path) -> Iterator[GCSServer]:
    """Run the server and the proxy."""
    with served(place, _prepared) as server, proxy(server.careless, Conditions(server.careless)) as endpoint:
        yield server._replace(endpoint=endpoint)


def _prepared(_: Path) -> tuple[GCSServer, Service]:
    (port,) = free_ports(1)
    server = GCSServer("", f"http://{HOST}:{port}")
    command = [str(installed(FAKE_GCS)), "-scheme", "http", "-host", HOST, "-port", str(port), "-backend", "memory"]
    command += ["-external-url", server.careless, "-public-host", f"{HOST}:{port}"]
    return server, Service(command, partial(_answers, server))


def _answers(server: GCSServer) -> bool:
    bucket = json.dumps({"name": SHARED}).encode()
    try:
        urllib.request.urlopen(f"{server.careless}/storage/v1/b?project=tests", bucket, timeout=5).close()
    except OSError:
        return False
    return True


class Wanted(NamedTuple):
    """The generation that an object must have, 0 if it must not exist; None: any."""

    bucket: str
    key: str
    generation: str | None


class Conditions:
    """What refuses requests whose condition does not hold, and forwards the others one at a time.

    Source: Google Cloud, "Request preconditions"; an upload in parts is judged at its beginning and at its end.
    """

    def __init__(self, careless: str) -> None:
        self.careless = careless
        self.alone = threading.Lock()
        self.uploads: dict[str, Wanted] = {}

    def __call__(self, request: Request, forward: Forward) -> Reply:
        with self.alone:
            wanted = self.wanted(request)
            if wanted and wanted.generation is not None:
                there = self.generation(wanted, forward)
                if there == "0" != wanted.generation and request.method in {"GET", "DELETE"}:
                    return refusal(404, "notFound", "No such object")
                if there != wanted.generation:
                    return refusal(
                        412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."
                    )
            # downloads of the kind that Triton's client does are known by the host that they name
            reply = forward(request._replace(headers={**request.headers, "Host": urlsplit(self.careless).netloc}))
        location = reply.headers.get("Location", "")
        if wanted and location:
            self.uploads[parse_qs(urlsplit(location).query)["upload_id"][0]] = wanted
            own = location.replace(self.careless, f"http://{request.headers['Host']}")
            return reply._replace(headers={**reply.headers, "Location": own})
        return reply

    def wanted(self, request: Request) -> Wanted | None:
        """Return the condition on the object that a request reads or changes."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        generation, path = asked.get("ifGenerationMatch"), request.key
        if match := re.search(r"/(?:copyTo|rewriteTo)/b/([^/]+)/o/(.+)", path):
            return Wanted(match[1], unquote(match[2]), generation)
        if path.startswith("/upload/"):
            if request.method == "PUT":
                return self.uploads.get(asked["upload_id"]) if is_last(request) else None
            match = re.search(r"/b/([^/]+)/o", path)
            assert match
            return Wanted(match[1], asked.get("name") or named(request.body), generation)
        match = re.search(r"/b/([^/]+)/o/(.+)", path)
        return Wanted(match[1], unquote(match[2]), generation) if match else None

    def generation(self, wanted: Wanted, forward: Forward) -> str:
        """Return the generation of an object; 0 if it does not exist."""
        path = f"/storage/v1/b/{wanted.bucket}/o/{quote(wanted.key, safe='')}"
        reply = forward(Request("GET", path, {}, b""))
        return str(json.loads(reply.body)["generation"]) if reply.status == 200 else "0"


def is_last(request: Request) -> bool:
    """Whether a part of an upload is its last one, with its size known."""
    given = next(value for name, value in request.headers.items() if name.lower() == "content-range")
    match = re.fullmatch(r"bytes (?:\d+-(\d+)|\*)/(\d+)", given)
    return match is not None and (match[1] is None or int(match[1]) + 1 == int(match[2]))


def named(body: bytes) -> str:
    """Return the key that the metadata of an upload names, which are the first JSON object of its body."""
    text = body[:10_000].decode("utf-8", "replace")
    name: str = json.JSONDecoder().raw_decode(text, text.index("{"))[0]["name"]
    return name


def refusal(status: int, reason: str, message: str) -> Reply:
    """Return a refusal in the words of GCS."""
    said = {"code": status, "message": message, "errors": [{"message": message, "domain": "global", "reason": reason}]}
    return Reply(status, {"Content-Type": "application/json"}, json.dumps({"error": said}).encode())
