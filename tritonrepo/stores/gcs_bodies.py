"""Bodies on their way to Google Cloud Storage: their checksums, and large ones, which the client sends in parts.

The session of a large upload is not kept for a later run, which sends the object from its beginning: sessions are not
listed, and whoever has the URI of one can write (Google Cloud, "Resumable uploads"), so it does not belong in a bucket.
"""

from __future__ import annotations

import base64
from typing import Any

from tritonrepo.stores import gcs_refusals as refusals
from tritonrepo.stores.intact import Reading, changed_meanwhile
from tritonrepo.tree import File

TYPE = "application/octet-stream"
PART_BYTES = 16 << 20
TRIES = 3
"""How often a body is sent that is damaged on its way."""


def crc32c(content: bytes) -> str:
    """Return the CRC32C of a content as the store writes it."""
    import google_crc32c

    made: Any = google_crc32c.Checksum  # without types
    return base64.b64encode(made(content).digest()).decode()


class _Stream:
    """A file as the client reads one that it uploads in parts."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._first = Reading(file)
        self._offset = 0

    def read(self, n: int) -> bytes:
        """Return the next bytes; raise OSError if the file is not the one whose size or digest is known."""
        lost = min(n, self._first.offset - self._offset)
        again = self._file.read(self._offset, lost) if lost else b""
        if len(again) < lost:
            raise changed_meanwhile()
        self._offset += len(content := again + self._first.read(n - lost))
        return content

    def tell(self) -> int:
        """Return where the next bytes are."""
        return self._offset

    def seek(self, offset: int) -> None:
        """Continue from another place, such as that of a lost part."""
        self._offset = offset


def upload(blob: Any, file: File, **how: Any) -> None:  # noqa: ANN401  made by the client
    """Write a large object in parts, each of which the client sends again if it is lost; all, if they are damaged."""
    from google.api_core.exceptions import RetryError, from_http_response
    from google.cloud.storage import retry
    from google.cloud.storage.exceptions import InvalidResponse

    blob.chunk_size = PART_BYTES
    call = how | {"retry": retry.DEFAULT_RETRY}
    for left in reversed(range(TRIES)):
        try:
            blob.upload_from_file(_Stream(file), size=file.size, content_type=TYPE, **call)
        except RetryError as error:
            if isinstance(error.cause, InvalidResponse):
                raise from_http_response(error.cause.response) from None
            raise error.cause or error from None
        except Exception as error:
            if not left or not refusals.is_damage(error):
                raise
        else:
            return
