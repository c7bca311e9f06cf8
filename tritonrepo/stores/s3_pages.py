"""The pages of an S3 listing, read in one pass: boto3 parses each twice, and every time in it by a slow general parser.

Only what a scan needs is read: the key, tag and size of each object, and whether there are more pages. A reply that is
not exactly such a page, such as an error, is left to boto3.
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

PAGE, OBJECT = "ListBucketResult", "Contents"
ABOUT_PAGE = {"EncodingType", "IsTruncated", "NextContinuationToken"}
ABOUT_OBJECT = {"Key", "ETag", "Size"}
TEXTS = ABOUT_PAGE | ABOUT_OBJECT
WRONG = 300
DEEP = 3
"""How deep in a page an object's key is."""


class Unfit(Exception):  # noqa: N818  the end of reading, which nobody sees
    """A reply is not a page of a listing, or has something in it that pages do not have."""


def taken(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Read a reply in place of boto3's parser, which gets nothing to parse, if it is a page of a listing.

    The parameters are named by botocore, for handlers of its event `before-parse`.
    """
    if response_dict["status_code"] < WRONG:
        try:
            customized_response_dict |= _Page(response_dict["body"]).found
        except (Unfit, ValueError, expat.ExpatError):
            return
        response_dict["body"] = b""


class _Page:
    """A page as boto3 returns it."""

    def __init__(self, body: bytes) -> None:
        self.found: dict[str, Any] = {}
        self._object: dict[str, Any] = {}
        self._inside: list[str] = []
        self._text: list[str] = []
        parser = expat.ParserCreate("utf-8", "}")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._began, self._ended
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._unfit
        parser.Parse(body, True)  # noqa: FBT003  takes no keywords

    def _unfit(self, *_: object) -> None:
        raise Unfit

    def _began(self, name: str, _: object) -> None:
        if self._inside and self._inside[-1] in TEXTS:
            raise Unfit
        self._inside.append(name.rpartition("}")[2])
        self._text.clear()
        if self._inside[0] != PAGE:
            raise Unfit

    def _ended(self, _: object) -> None:
        name, depth = self._inside.pop(), len(self._inside)
        if depth == DEEP - 1 and name in ABOUT_OBJECT and self._inside[1] == OBJECT:
            _add(self._object, name, "".join(self._text))
        elif depth == 1 and name == OBJECT:
            self.found.setdefault(OBJECT, []).append(self._object)
            self._object = {}
        elif depth == 1 and name in ABOUT_PAGE:
            _add(self.found, name, "".join(self._text))
        self._text.clear()


def _add(found: dict[str, Any], name: str, text: str) -> None:
    if name in found:
        raise Unfit
    found[name] = int(text) if name == "Size" else text == "true" if name == "IsTruncated" else text
