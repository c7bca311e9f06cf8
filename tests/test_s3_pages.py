"""Pages of an S3 listing: what is read of them is what boto3 reads, and what is not such a page is left to it."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.stores.s3_pages import taken

PLACE = "http://s3.amazonaws.com/doc/2006-03-01/"
SHAPE = botocore.session.get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
READ = ("EncodingType", "IsTruncated", "NextContinuationToken")


def by_boto3(body: bytes) -> dict[str, Any]:
    """Return what boto3 makes of a page, without what a scan does not need."""
    page = create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": body}, SHAPE)
    found = {name: page[name] for name in READ if name in page}
    if "Contents" in page:
        found["Contents"] = [
            {name: item[name] for name in ("Key", "ETag", "Size") if name in item} for item in page["Contents"]
        ]
    return found


def by_us(body: bytes, status: int = 200) -> tuple[dict[str, Any], bytes]:
    """Return what is read in place of boto3, and what is left to it."""
    found: dict[str, Any] = {}
    reply = {"status_code": status, "body": body, "headers": {}}
    taken(response_dict=reply, customized_response_dict=found, operation_model=None)
    left = reply["body"]
    assert isinstance(left, bytes)
    return found, left


def page(inside: str, head: str = f'<ListBucketResult xmlns="{PLACE}">') -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{inside}</ListBucketResult>'.encode()


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
LEAVES = ["Key", "ETag", "Size", "LastModified", "StorageClass", "Owner"]


def written(draw: st.DrawFn, text: str) -> str:
    """Return a text as a server may write it."""
    if "]]>" not in text and draw(st.booleans()):
        return f"<![CDATA[{text}]]>"
    return "".join(f"&#{ord(each)};" if draw(st.booleans()) else escape(each) for each in text)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """Return an object, perhaps without something, in any order."""
    found = []
    for name in draw(st.permutations(LEAVES)):
        if not draw(st.integers(0, 5)):
            continue
        match name:
            case "Key" | "ETag":
                inside = written(draw, draw(TEXT))
            case "Size":
                inside = str(draw(st.integers(0, 2**63)))
            case "LastModified":
                inside = "2026-11-29T05:02:50.000Z"
            case "Owner":
                inside = f"<ID>{written(draw, draw(TEXT))}</ID><Key>not the key</Key>"
            case _:
                inside = "STANDARD"
        found.append(f"<{name}>{inside}</{name}>")
    return f"<Contents>{''.join(found)}</Contents>"


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    parts = draw(st.lists(objects(), max_size=4))
    parts += [f"<IsTruncated>{draw(st.sampled_from(['true', 'false']))}</IsTruncated>"] * draw(st.integers(0, 1))
    parts += [f"<NextContinuationToken>{written(draw, draw(TEXT))}</NextContinuationToken>"] * draw(st.integers(0, 1))
    parts += ["<EncodingType>url</EncodingType>"] * draw(st.integers(0, 1))
    parts += ["<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>", "<!-- said -->", "\n  ", "<Name>models</Name>"]
    return page("".join(draw(st.permutations(parts))))


@given(pages())
def test_a_page_is_read_as_boto3_reads_it(body: bytes) -> None:
    assert by_us(body) == (by_boto3(body), b"")


ONE = "<Contents><Key>a</Key><ETag>&quot;x&quot;</ETag><Size>1</Size></Contents>"
NAMED = {
    "no name space": page(ONE, "<ListBucketResult>"),
    "a prefix": page(
        ONE.replace("<", "<s:").replace("<s:/", "</s:"), f'<s:ListBucketResult xmlns:s="{PLACE}">'
    ).replace(b"</ListBucketResult>", b"</s:ListBucketResult>"),
    "a comment in a key": page(ONE.replace("<Key>a", "<Key>a<!-- b -->c")),
    "an empty key": page(ONE.replace("<Key>a</Key>", "<Key/>")),
    "nothing": page(""),
    "another encoding is named": page(ONE.replace("<Key>a", "<Key>ä")).replace(b"UTF-8", b"ISO-8859-1"),
}


@tabled("body", NAMED.values(), ids=NAMED)
def test_a_page_may_be_written_in_several_ways(body: bytes) -> None:
    assert by_us(body) == (by_boto3(body), b"")


LEFT = {
    "an error": b"<Error><Code>SlowDown</Code></Error>",
    "not XML": b"{}",
    "cut off": page(ONE)[:-5],
    "nothing": b"",
    "a document type": b"<!DOCTYPE a [<!ENTITY e 'x'>]>" + page(ONE.replace("<Key>a", "<Key>&e;"))[39:],
    "an unknown entity": page(ONE.replace("<Key>a", "<Key>&e;")),
    "a size that is none": page(ONE.replace("1", "one")),
    "two keys": page(ONE.replace("<Key>a</Key>", "<Key>a</Key><Key>b</Key>")),
    "something in a key": page(ONE.replace("<Key>a", "<Key>a<b/>c")),
    "bytes that are no text": page(ONE).replace(b"<Key>a", b"<Key>\xff"),
}


@tabled("body", LEFT.values(), ids=LEFT)
def test_what_is_not_such_a_page_is_left_to_boto3(body: bytes) -> None:
    assert by_us(body) == ({}, body)


@pytest.mark.parametrize("status", [301, 404, 500])
def test_a_refusal_is_left_to_boto3(status: int) -> None:
    assert by_us(page(ONE), status) == ({}, page(ONE))
