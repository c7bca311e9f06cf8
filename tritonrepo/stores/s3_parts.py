"""Large objects of S3: uploads in parts, continued where an earlier run was interrupted, or removed.

A part that has arrived is known by its number, its size and its tag, which is the MD5 of its content in most stores. In
others, every part is sent again. What an upload holds is seen by nobody before it is completed, on the write's
condition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Stop
from tritonrepo.stores.intact import damaged, pieces
from tritonrepo.stores.s3_client import TRIES, Connection, md5
from tritonrepo.stores.s3_refusals import REFUSED, UNFIT, UNKNOWN, code_of
from tritonrepo.stores.store import Tag
from tritonrepo.tree import File

PART_BYTES = 8 << 20
PARTS_AT_ONCE, MOST_PARTS = 4, 10_000
YOUNG_S = 60
"""An upload that began later than this before a run may be one that somebody sends right now."""


class Part(NamedTuple):
    """A part of an upload: its tag as the store has it, and the MD5 of what was read."""

    tag: str
    md5: str


class Upload(NamedTuple):
    """An upload that was begun, the parts that it has, by number: size in bytes and tag; others of the same object.

    `listed`: whether the store lists uploads to this account, so that one can be continued later.
    """

    call: Mapping[str, str]
    there: Mapping[int, tuple[int, str]]
    others: tuple[Mapping[str, str], ...] = ()
    listed: bool = True


class Large:
    """Writes large objects."""

    def __init__(self, at: Connection) -> None:
        self._at = at

    def put(self, key: str, file: File, condition: Mapping[str, str]) -> tuple[Tag, str]:
        """Write an object in parts; return its tag, and the tag that it has if the store's tags are MD5s."""
        from botocore.exceptions import ClientError

        upload = self._begun(key)
        try:
            done = self._put(upload, file, condition)
        except ClientError as error:
            if not upload.there or code_of(error) not in UNFIT:
                raise
            done = self._put(self._new(key), file, condition)  # what an earlier run has sent cannot be used
        for call in upload.others:
            self._abort(call)
        return done

    def _put(self, upload: Upload, file: File, condition: Mapping[str, str]) -> tuple[Tag, str]:
        try:
            parts = self._sent(upload, file)
            return self._completed(upload, parts, condition), expected(parts)
        except BaseException as error:
            if not upload.listed or _is_final(error):
                self._abort(upload.call)
            raise

    def _begun(self, key: str) -> Upload:
        """Return the newest upload of an object that was not completed, or else a new one."""
        from botocore.exceptions import ClientError

        try:
            found = [each for each in self.uploads(key) if each["Key"] == key]
        except ClientError:
            return self._new(key)._replace(listed=False)
        calls = [{"Key": key, "UploadId": each["UploadId"]} for each in sorted(found, key=lambda one: one["Initiated"])]
        if not calls:
            return self._new(key)
        try:
            return Upload(calls[-1], dict(self._parts(calls[-1])), tuple(calls[:-1]))
        except ClientError:
            return self._new(key)._replace(others=tuple(calls))

    def _new(self, key: str) -> Upload:
        return Upload({"Key": key, "UploadId": self._at.ask("create_multipart_upload", Key=key)["UploadId"]}, {})

    def uploads(self, head: str) -> Iterator[dict[str, Any]]:
        """Yield the uploads of objects whose keys begin with this; raise ClientError if they cannot be listed."""
        following: dict[str, str] = {}
        while True:
            page = self._at.ask("list_multipart_uploads", Prefix=head, **following)
            yield from page.get("Uploads", ())
            after = {"KeyMarker": page.get("NextKeyMarker"), "UploadIdMarker": page.get("NextUploadIdMarker")}
            if not page.get("IsTruncated") or not all(after.values()) or after == following:
                return
            following = after

    def _parts(self, call: Mapping[str, str]) -> Iterator[tuple[int, tuple[int, str]]]:
        following: dict[str, int] = {}
        while True:
            page = self._at.ask("list_parts", **call, **following)
            for part in page.get("Parts", ()):
                yield int(part["PartNumber"]), (int(part["Size"]), self._at.tag(part, call["Key"]))
            after = {"PartNumberMarker": page.get("NextPartNumberMarker")}
            if not page.get("IsTruncated") or not all(after.values()) or after == following:
                return
            following = after

    def _sent(self, upload: Upload, file: File) -> list[Part]:
        """Send the parts that have not arrived; the file is read once, in order."""
        step = max(PART_BYTES, -(-file.size // MOST_PARTS))
        sending, done = deque[Future[Part]](), list[Part]()
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            try:
                for number, piece in enumerate(pieces(file, step), 1):
                    sending.append(pool.submit(self._part, upload, number, piece))
                    if len(sending) > PARTS_AT_ONCE:
                        done.append(sending.popleft().result())
                return done + [each.result() for each in sending]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _part(self, upload: Upload, number: int, piece: bytes) -> Part:
        own = md5(piece)
        if upload.there.get(number) == (len(piece), own):
            return Part(own, own)
        key, sure = upload.call["Key"], self._at.opaque is False
        for _ in range(TRIES):
            answer = self._at.ask("upload_part", Body=piece, PartNumber=number, **upload.call)
            tag = self._at.tag(answer, key)
            if not (sure and self._at.doubtful(tag, own)):
                return Part(tag, own)
        raise damaged(self._at.at(key))

    def _completed(self, upload: Upload, parts: list[Part], condition: Mapping[str, str]) -> Tag:
        """Complete an upload; if the reply to that was lost, the object is there, and the condition fails."""
        from botocore.exceptions import ClientError

        key = upload.call["Key"]
        listed = [{"PartNumber": number, "ETag": part.tag} for number, part in enumerate(parts, 1)]
        call = {**upload.call, **condition, "MultipartUpload": {"Parts": listed}}
        try:
            return self._at.tag(self._at.ask("complete_multipart_upload", **call), key)
        except ClientError as error:
            if code_of(error) not in REFUSED | UNFIT:
                raise
            with suppress(ClientError):
                if (tag := self._at.tag(self._at.ask("head_object", Key=key), key)) == expected(parts):
                    return tag
            raise

    def _abort(self, call: Mapping[str, str]) -> None:
        with suppress(Exception):  # nobody sees what is not completed; what went wrong before is reported
            self._at.ask("abort_multipart_upload", **call)

    def sweep(self, prefix: str, directories: frozenset[str]) -> None:
        """Remove old uploads to these directories of a prefix; raise ClientError if that is not permitted."""
        head = f"{prefix}/"
        for each in list(self.uploads(head)):
            began_s = each["Initiated"].timestamp()
            is_old = began_s < self._at.began_s - YOUNG_S
            if is_old and each["Key"].removeprefix(head).partition("/")[0] in directories:
                self._at.ask("abort_multipart_upload", Key=each["Key"], UploadId=each["UploadId"])


def _is_final(error: BaseException) -> bool:
    """Whether an upload that failed so is not to be continued: nothing that is sent again would be right."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return code_of(error) in REFUSED | UNFIT | UNKNOWN
    return isinstance(error, OSError | Stop)


def expected(parts: list[Part]) -> str:
    """Return the tag of an object of these parts: the MD5 of their MD5s, and their number."""
    return f"{md5(b''.join(bytes.fromhex(part.md5) for part in parts))}-{len(parts)}"
