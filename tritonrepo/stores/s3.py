"""An S3 bucket as a Store: boto3 for listings and for large or conditional objects, obstore for many small ones.

obstore writes many objects several times faster; boto3 has exact keys, conditions, and the user's own credentials
(environment, profiles, SSO), which it passes on to obstore.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from tritonrepo.diagnostics import Stop
from tritonrepo.stores import listing, presigned
from tritonrepo.stores.intact import Damaged, damaged, whole
from tritonrepo.stores.s3_client import TRIES, Connection, md5, plain
from tritonrepo.stores.s3_parts import Large
from tritonrepo.stores.s3_refusals import DAMAGED, code_of, conditions, explained, lacking
from tritonrepo.stores.s3_uri import Address, parse
from tritonrepo.stores.store import (
    Capabilities,
    Conflict,
    Fetched,
    Part,
    Reading,
    Send,
    Store,
    Stored,
    Tag,
    Unconditional,
    Write,
    changed,
)
from tritonrepo.tree import File, Tree

PLAIN_KEY = re.compile(r"[0-9A-Za-z_\-][0-9A-Za-z._\-]*(/\.*[0-9A-Za-z_\-][0-9A-Za-z._\-]*)*")
"""Keys that obstore writes unchanged; it escapes others, so boto3 writes those. No part of them is only dots."""

WHOLE_BYTES = 8 << 20
READS = 4
NO_CODE = "404"
"""The code of a refusal whose text was cut off."""

REMOVAL_S = 10
"""How long the removal of a damaged object remains valid: nothing else may come to be there meanwhile."""


def open_uri(uri: str) -> tuple[S3Store, str]:
    """Return the Store of the bucket that an s3:// URI names, and the prefix in it."""
    address = parse(uri, os.environ)
    return S3Store(address), address.key


class S3Store:
    """The Store of a bucket."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._at = Connection(address)
        self._large = Large(self._at)

    @property
    def caps(self) -> Capabilities:
        """What a bucket can do; a tag is an ETag without its quotes."""
        return Capabilities(stray=Tag("0" * 32), sees_changes=True, lists_parts=True)

    def scan(self, prefix: str) -> Tree:
        """Return every object under the prefix from one listing; a zero-byte "directory/" is an empty directory."""
        return listing.as_tree(self._objects(prefix))

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        """Yield the files under the prefix, page by page."""
        return listing.files(self._objects(prefix))

    def _objects(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        head = listing.head(prefix)
        get = partial(self._part, head)
        for item in self._listed(head):
            path = str(item["Key"])[len(head) :]
            yield path, self._stored(item, path, get)

    def _listed(self, head: str) -> Iterator[dict[str, Any]]:
        parameters: dict[str, Any] = {"Prefix": head}
        while True:
            with explained(self.address.uri, "list"):
                page = self._at.ask("list_objects_v2", **parameters)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or token == parameters.get("ContinuationToken"):
                raise lacking(self.address.uri, "list", "continuation token")
            parameters["ContinuationToken"] = token

    def _stored(self, item: dict[str, Any], path: str, get: Callable[[str, Tag, Part], bytes]) -> Stored:
        if missing := next((name for name in ("ETag", "Size") if item.get(name) is None), ""):
            raise lacking(f"{self.address.uri}: {item['Key']}", "list", missing)
        tag, size = plain(str(item["ETag"])), int(item["Size"])
        return Stored(size, Reading(get, path, tag, size), tag=tag)

    def _part(self, head: str, path: str, tag: Tag, part: Part) -> bytes:
        if part.offset >= part.size:
            return b""
        key, wanted = f"{head}{path}", f"bytes={part.offset}-{part.offset + part.n - 1}"
        at = self._at.at(key)
        try:
            with explained(at, "read"), conditions(key):
                return self._got(key, Range=wanted, IfMatch=f'"{tag}"').content
        except Conflict:
            raise changed(at) from None

    def fetch(self, path: str) -> Fetched | None:
        """Return the content of an object and its ETag; None if it does not exist."""
        with explained(self._at.at(path), "read"):
            try:
                return self._got(path)
            except self._at.client.exceptions.NoSuchKey:
                return None

    def _got(self, key: str, **parameters: str) -> Fetched:
        """Read an object or a part of it, again if the body is cut off, which boto3 does not do."""
        from botocore import exceptions as known

        cut = (
            known.IncompleteReadError,
            known.ResponseStreamingError,
            known.ReadTimeoutError,
            known.ConnectionClosedError,
        )
        for left in reversed(range(READS)):
            try:
                answer = self._at.ask("get_object", Key=key, **parameters)
                return Fetched(bytes(answer["Body"].read()), self._at.tag(answer, key))
            except cut:
                if not left:
                    raise
            except known.ClientError as error:
                if not left or code_of(error) != NO_CODE:
                    raise
        raise AssertionError  # the last round returns or raises

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        """Write an object by one PUT or one completed multipart upload; the tag is its ETag."""
        write = Write(path, file, if_absent, if_match)
        with explained(self._at.at(path), "write"), conditions(path):
            for _ in range(TRIES):
                try:
                    return self._put(write, file)
                except Damaged as damage:
                    if if_absent or if_match is not None:
                        write = write._replace(if_absent=False, if_match=damage.tag)
        if if_match is None:  # nothing names it yet
            self.ticket(Write(path, None), REMOVAL_S)()
        raise damaged(self._at.at(path))

    def _put(self, write: Write, file: File) -> Tag:
        path, condition = write.path, _condition(write)
        if file.size > WHOLE_BYTES:
            tag, expected = self._large.put(path, file, condition)
            if self._at.doubtful(tag, expected):
                back = Stored(file.size, Reading(partial(self._part, ""), path, tag, file.size))
                self._judge(tag, intact=back.sha256 == file.sha256)
            return tag
        body = whole(file)
        if write.if_match is None and PLAIN_KEY.fullmatch(path):
            tag = self._bulk(path, body, if_absent=write.if_absent)
        else:
            tag = self._at.tag(self._at.ask("put_object", Key=path, Body=body, **condition), path)
        return self._intact(path, body, tag)

    def _intact(self, path: str, body: bytes, tag: Tag) -> Tag:
        """Return the tag of what was written; raise Damaged if the store holds another content.

        What the store holds is known from the tag, or else, once, from reading it back.
        """
        if self._at.doubtful(tag, md5(body)):
            found = self.fetch(path)
            if found is None or found.tag != tag:
                raise Conflict(path)
            self._judge(tag, intact=found.content == body)
        return tag

    def _judge(self, tag: Tag, *, intact: bool) -> None:
        if not intact:
            raise Damaged(tag)
        self._at.opaque = True

    def _bulk(self, path: str, body: bytes, *, if_absent: bool) -> Tag:
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        for left in reversed(range(TRIES)):
            try:
                done = obstore.put(self._at.objects, path, body, mode="create" if if_absent else "overwrite")
            except AlreadyExistsError:
                raise Conflict(path) from None
            except GenericError as error:
                if "501 Not Implemented" in str(error):
                    raise Unconditional(path) from None
                if not left or not any(code in str(error) for code in DAMAGED):
                    raise
            else:
                return self._at.tag({"ETag": done["e_tag"]}, path)
        raise AssertionError  # the last round returns or raises

    def ticket(self, write: Write, seconds: int) -> Send:
        """Sign a write now; the store refuses it once its time is over, by its own clock."""
        at, body = self._at.at(write.path), None if write.file is None else whole(write.file)
        verb = "delete" if body is None else "write"
        with explained(at, verb):
            send = presigned.prepare(self._at, write, body, seconds)

        def sent() -> Tag | None:
            with explained(at, verb), conditions(write.path):
                tag = send()
            if body is None:
                return None
            with explained(at, verb):
                try:
                    return self._intact(write.path, body, self._at.tag({"ETag": tag}, write.path))
                except Damaged:
                    raise damaged(at) from None

        return sent

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """Do nothing: the store checks the time of a prepared write."""

    def delete(self, path: str) -> None:
        """Remove an object."""
        with explained(self._at.at(path), "delete"):
            self._at.ask("delete_object", Key=path)

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:
        """Remove the parts of large objects in these directories that earlier runs sent and nobody will need.

        That takes permissions that nothing else needs: return why it is impossible.
        """
        if directories:
            try:
                with explained(self.address.uri, "remove the parts of unfinished uploads"):
                    self._large.sweep(prefix, frozenset(directories))
            except Stop as stop:
                return stop.diagnostics[0].message
        return ""

    def server_environment(self) -> Mapping[str, str]:
        """Return the environment that gives Triton the credentials found here, also those of a profile or SSO.

        Source: core, src/filesystem/implementations/s3.h, S3Credential: only these names are read.
        """
        with explained(self.address.uri, "open"):
            found = self._at.session.get_credentials()
            frozen = found.get_frozen_credentials() if found else None
        if frozen is None:
            return {}
        # without a token, an empty one: the environment may have that of other keys
        keys = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
        return keys | {"AWS_SESSION_TOKEN": frozen.token or "", "AWS_DEFAULT_REGION": self._at.region}


def _condition(write: Write) -> dict[str, str]:
    if write.if_absent:
        return {"IfNoneMatch": "*"}
    return {} if write.if_match is None else {"IfMatch": f'"{write.if_match}"'}
