"""A real S3 server on this machine: SeaweedFS, one process with its own ports, gone after the tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers.packages import SEAWEEDFS, installed
from tests.servers.serving import HOST, Service, free_ports, served

SHARED = "models"
KEY, SECRET = "tritonrepo-test", "tritonrepo-test-secret"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
GRPC = 10_000
"""How far above each of its ports SeaweedFS uses another for gRPC, whatever its options."""
ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]


class S3Server(NamedTuple):
    """Where the server is."""

    endpoint: str

    def client(self) -> Any:  # noqa: ANN401  made by boto3 at run time
        """A client that is not ours."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def bucket(self) -> str:
        """Create a bucket and return its name; each needs volumes of the server, so most tests share one."""
        name = f"models-{uuid.uuid4().hex[:10]}"
        self.client().create_bucket(Bucket=name)
        return name

    def uri(self, bucket: str, prefix: str) -> str:
        return f"s3://{self.endpoint}/{bucket}/{prefix}"

    def fresh(self) -> str:
        """Return the URI of an unused prefix; the bucket exists as soon as the server has started."""
        return self.uri(SHARED, f"{uuid.uuid4().hex[:10]}/prod")

    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""
        bucket, _, key = uri.removeprefix(f"s3://{self.endpoint}/").partition("/")
        self.client().put_object(Bucket=bucket, Key=key, Body=content)


@contextmanager
def seaweed(place: Path) -> Iterator[S3Server]:
    """Run the server."""
    with served(place, _prepared) as server:
        yield server


def _prepared(place: Path) -> tuple[S3Server, Service]:
    ports = dict(zip(PORTS, free_ports(len(PORTS), above=GRPC), strict=True))
    identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ACTIONS}
    (place / "id.json").write_text(json.dumps({"identities": [identity]}), "utf-8")
    (place / "data").mkdir()
    command = [str(installed(SEAWEEDFS)), "server", f"-dir={place / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}"]
    command += ["-filer", "-s3", *(f"-{name}={port}" for name, port in ports.items())]
    command += [f"-{name}.grpc={port + GRPC}" for name, port in ports.items()]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-volume.max=500"]
    command += [f"-s3.config={place / 'id.json'}", "-master.volumeSizeLimitMB=512"]
    server = S3Server(f"http://{HOST}:{ports['s3.port']}")
    return server, Service(command, partial(answers, server))


def answers(server: S3Server) -> bool:
    """Whether the server responds, with the shared bucket."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        server.client().create_bucket(Bucket=SHARED)
    except (BotoCoreError, ClientError):
        return False
    return True
