"""An Azure Blob Storage server: Azurite, with the account and the key that every Azurite has."""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.servers.packages import AZURITE, installed
from tests.servers.serving import HOST, Service, free_ports, served

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
API = "2021-12-02"


class AzureServer(NamedTuple):
    """Where the server is."""

    endpoint: str

    def container(self, name: str) -> None:
        """Create a container; the clients of stores do not."""
        date = formatdate(usegmt=True)
        signed = f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{API}\n"
        signed += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        code = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
        headers = {"x-ms-date": date, "x-ms-version": API, "Authorization": f"SharedKey {ACCOUNT}:{code}"}
        url = f"{self.endpoint}/{name}?restype=container"
        urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="PUT"), timeout=30).close()


@contextmanager
def azurite(place: Path) -> Iterator[AzureServer]:
    """Run the server."""
    with served(place, _prepared) as server:
        yield server


def _prepared(place: Path) -> tuple[AzureServer, Service]:
    (port,) = free_ports(1)
    server = AzureServer(f"http://{HOST}:{port}/{ACCOUNT}")
    command = [str(installed(AZURITE)), "--blobHost", HOST, "--blobPort", str(port), "--location", str(place)]
    return server, Service([*command, "--skipApiVersionCheck", "--disableTelemetry"], partial(_answers, server))


def _answers(server: AzureServer) -> bool:
    try:
        urllib.request.urlopen(server.endpoint, timeout=5).close()
    except urllib.error.HTTPError:  # nobody said who asks
        return True
    except OSError:
        return False
    return True
