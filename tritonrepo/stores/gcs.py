"""A bucket of Google Cloud Storage as a Store; a tag is an object's generation, which no other content ever has.

A request cannot be given a time after which the store refuses it, except with the key of a service account. So a
prepared write is an object next to the repository, and sending it is a copy of that object, which the store makes on
the write's condition. Whoever takes the lock removes all prepared writes (`revoke`): from then on, the store refuses to
copy them, however late the request arrives. A removal cannot be prepared, so it is two: a prepared write that puts
random bytes in the object's place, and the removal of these bytes. One that arrives late removes nothing else.

Source: Google Cloud, "Request preconditions": 0 is the generation of an object that does not exist.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores import gcs_refusals as refusals
from tritonrepo.stores import listing
from tritonrepo.stores.directory import awake
from tritonrepo.stores.gcs_bodies import TRIES, TYPE, crc32c, upload
from tritonrepo.stores.gcs_client import Connection
from tritonrepo.stores.gcs_uri import Address, parse
from tritonrepo.stores.intact import Damaged, damaged, whole
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
    Write,
    changed,
    lacking,
)
from tritonrepo.tree import File, Tree, of_bytes

FIELDS = "items(name,size,generation,contentEncoding),nextPageToken"
WHOLE_BYTES = 8 << 20
LOOKS = 4


def open_uri(uri: str) -> tuple[GCSStore, str]:
    """Return the Store of the bucket that a gs:// URI names, and the prefix in it."""
    address = parse(uri)
    return GCSStore(address), address.key


class GCSStore:
    """The Store of a bucket."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._at = Connection(address)
        self._prepared, self._desk = "", self

    @property
    def caps(self) -> Capabilities:
        """What a bucket can do; a generation is a time in microseconds, so none is 1."""
        return Capabilities(stray=Tag("1"), sees_changes=True, guards_removals=True, lists_parts=True)

    def scan(self, prefix: str) -> Tree:
        """Return every object under the prefix from one listing; a zero-byte "directory/" is an empty directory."""
        return listing.as_tree(self._objects(prefix))

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        """Yield the files under the prefix, page by page."""
        return listing.files(self._objects(prefix))

    def _objects(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        head = listing.head(prefix)
        get, packed = partial(self._part, head), partial(self._packed, head)
        for item in self._listed(head):
            path = str(item.name)[len(head) :]
            yield path, self._stored(item, path, packed if item.content_encoding == "gzip" else get)

    def _listed(self, head: str) -> Iterator[Any]:
        token: str | None = None
        while True:
            with self._at.explained("", "list"):
                items, following = self._at.ask(partial(self._page, head, token))
            yield from items
            if not following:
                return
            if following == token:
                raise lacking(self.address.uri, "list", "new page token", refusals.API)
            token = following

    def _page(self, head: str, token: str | None, **how: Any) -> tuple[list[Any], str | None]:  # noqa: ANN401
        found = self._at.client.list_blobs(self.address.bucket, prefix=head, page_token=token, fields=FIELDS, **how)
        page = list(next(found.pages, ()))
        return page, found.next_page_token

    def _stored(self, item: Any, path: str, get: Callable[[str, Tag, Part], bytes]) -> Stored:  # noqa: ANN401  made by the client
        size, generation = item.size, item.generation
        if size is None or generation is None:
            what = "size" if size is None else "generation"
            raise lacking(f"{self.address.uri}: {item.name}", "list", what, refusals.API)
        tag = Tag(str(generation))
        return Stored(size, Reading(get, path, tag, size), tag=tag)

    def _packed(self, head: str, path: str, *_: object) -> NoReturn:
        message = "the object has Content-Encoding: gzip, so servers read other bytes than the bucket has"
        hint = "Upload the file as it is, without compression on the way."
        raise fatal("store-access", f"{self.address.uri}: {head}{path}", message, hint)

    def _part(self, head: str, path: str, tag: Tag, part: Part) -> bytes:
        start, stop, key = part.offset, min(part.offset + part.n, part.size), f"{head}{path}"
        if start >= stop:
            return b""
        with self._at.explained(key, "read"):
            try:
                return self._got(key, int(tag), start=start, end=stop - 1)
            except Conflict:
                raise changed(f"{self.address.uri}: {key}") from None

    def _got(self, key: str, generation: int, **part: int) -> bytes:
        """Read an object or a part of it; raise Conflict if it no longer has this generation."""
        get = partial(self._at.bucket.blob(key).download_as_bytes, raw_download=True, **part)
        with refusals.conditions(key, refusals.LOST):
            return bytes(self._at.ask(partial(get, if_generation_match=generation)))

    def fetch(self, path: str) -> Fetched | None:
        """Return the content of an object and its generation; None if it does not exist."""
        with self._at.explained(path, "read"):
            for _ in range(LOOKS):
                blob = self._at.ask(partial(self._at.bucket.get_blob, path))
                if blob is None:
                    return None
                with suppress(Conflict):  # overwritten between the two requests
                    tag = self._tag(blob)
                    return Fetched(self._got(path, blob.generation), tag)
        raise changed(f"{self.address.uri}: {path}")

    def _tag(self, blob: Any) -> Tag:  # noqa: ANN401  made by the client
        if blob.generation is None:
            raise lacking(f"{self.address.uri}: {blob.name}", "continue", "generation", refusals.API)
        return Tag(str(blob.generation))

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        """Write an object by one request or one completed upload; the tag is its generation."""
        with self._at.explained(path, "write"):
            return self._kept(Write(path, file, if_absent, if_match), file)

    def _kept(self, write: Write, file: File, end: float | None = None) -> Tag:
        """Write an object, again if the store says that it holds something else than was sent."""
        now = write
        for _ in range(TRIES):
            try:
                return self._put(now, file, end)
            except Damaged as damage:
                now = write._replace(if_absent=False, if_match=damage.tag)
        if write.if_match is None:  # nothing names it yet
            self._delete(Write(write.path, None, if_match=now.if_match), end)
        raise damaged(f"{self.address.uri}: {write.path}")

    def _put(self, write: Write, file: File, end: float | None) -> Tag:
        blob, condition = self._at.bucket.blob(write.path), {"if_generation_match": _condition(write)}
        if file.size > WHOLE_BYTES:
            with refusals.conditions(write.path):
                self._at.ask(partial(upload, blob, file, **condition), end, tries=1)
            return self._tag(blob)  # the client has compared the checksums
        body = whole(file)

        def send(**how: Any) -> Any:  # noqa: ANN401  made by the client
            blob.upload_from_string(body, content_type=TYPE, **condition, **how)
            return blob

        blob = self._sent(write.path, body, send, end)
        if blob.crc32c not in {None, crc32c(body)}:
            raise Damaged(self._tag(blob))
        return self._tag(blob)

    def _sent(self, path: str, body: bytes, send: Callable[..., Any], end: float | None) -> Any:  # noqa: ANN401
        """Send a write of a content, and return the object that came of it.

        If it is sent again because a reply was lost, what is in the way may be what was sent first.
        """
        times = 0

        def counted(**how: Any) -> Any:  # noqa: ANN401  made by the client
            nonlocal times
            times += 1
            return send(**how)

        try:
            with refusals.conditions(path):
                return self._at.ask(counted, end)
        except Conflict:
            there = self._at.ask(partial(self._at.bucket.get_blob, path)) if times > 1 else None
            if there is None or (there.size, there.crc32c) != (len(body), crc32c(body)):
                raise
            return there

    def delete(self, path: str) -> None:
        """Remove an object."""
        with self._at.explained(path, "delete"):
            self._delete(Write(path, None))

    def _delete(self, write: Write, end: float | None = None) -> None:
        blob = self._at.bucket.blob(write.path)
        try:
            with refusals.conditions(write.path, {refusals.NOT_FOUND} if write.if_match is None else refusals.GONE):
                self._at.ask(partial(blob.delete, if_generation_match=_condition(write)), end)
        except Conflict:
            if write.if_match is not None:
                raise

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """Remove the writes that were prepared in this directory, and prepare the next ones there."""
        self._desk = there if isinstance(there, GCSStore) else self
        for path in self._desk.scan(directory):
            self._desk.delete(f"{directory}/{path}")
        self._prepared = directory

    def ticket(self, write: Write, seconds: int) -> Send:
        """Prepare a write as an object of its own; none is sent once its time is over."""
        end = awake() + seconds
        act: Callable[[], Tag | None]
        if write.file is None and (write.if_match is None or not self._is_guarded(write.path)):
            act = partial(self._delete, write, end)
        elif write.file is not None and not self._prepared:
            act = partial(self._kept, write, write.file, end)
        else:
            place = f"{self._prepared}/{secrets.token_hex(16)}"
            file = write.file or of_bytes(secrets.token_bytes(16))
            self._desk.put(place, file, if_absent=True)
            act = partial(self._copied if write.file else self._removed, place, write._replace(file=file), end)

        def sent() -> Tag | None:
            with self._at.explained(write.path, "delete" if write.file is None else "write"):
                return act()

        return sent

    def _copied(self, place: str, write: Write, end: float) -> Tag:
        """Copy a prepared object to where it belongs, if it still exists, and remove it.

        The store copies in one request, which may fail for a large object if the two buckets have different locations
        or storage classes (Google Cloud, JSON API, "Objects: copy" and "Objects: rewrite").
        """
        source, target = self._desk._at.bucket, self._at.bucket  # noqa: SLF001  another one of this class
        copy = partial(source.copy_blob, source.blob(place), target, write.path, if_generation_match=_condition(write))
        body = write.file.content() if write.file else b""
        try:
            with refusals.revoked(write.path):
                return self._tag(self._sent(write.path, body, copy, end))
        finally:
            with suppress(Stop):  # the next push removes it
                self._desk.delete(place)

    def _removed(self, place: str, write: Write, end: float) -> None:
        """Put what was prepared in the place of an object, and remove that."""
        self._delete(Write(write.path, None, if_match=self._copied(place, write, end)), end)

    def _is_guarded(self, path: str) -> bool:
        """Whether others may come to need an object: not what is next to the repository, such as the lock."""
        return self._prepared != "" and not path.startswith(f"{self._prepared.rpartition('/')[0]}/")

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:  # noqa: ARG002
        """Do nothing: the store itself forgets an upload that was not completed, after a week, and lists none.

        Source: Google Cloud, "Resumable uploads".
        """
        return ""

    def server_environment(self) -> Mapping[str, str]:
        """Return the environment by which Triton finds the emulator, or the key file that is used here."""
        return self._at.server_environment()


def _condition(write: Write) -> int | None:
    if write.if_absent:
        return 0
    return None if write.if_match is None else int(write.if_match)
