"""Pages that are parsed here are those that S3's client parses."""

from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.s3_pages import _parse_objects
from tests.helpers.made_up_bucket import MadeUpBucket, make_answer

SHAPE = get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape

names = st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1), unique=True)


def _split(body: bytes, status: int = 200) -> tuple[bytes, dict[str, Any]]:
    answer: dict[str, Any] = {"status_code": status, "body": body, "headers": {}}
    parsed = dict[str, Any]()
    _parse_objects(answer, parsed)
    return bytes(answer["body"]), parsed


@given(names)
def test_pages_are_those_of_the_client(keys: list[str]) -> None:
    """Objects come with their keys, sizes and ETags, whatever stands in a key; the rest is the client's."""
    answer = make_answer(MadeUpBucket(sorted(keys)), "GET", "/photos?list-type=2&prefix=")
    body = answer.partition(b"\r\n\r\n")[2]
    of_client = create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": body}, SHAPE)

    rest, parsed = _split(body)
    both = create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": rest}, SHAPE) | parsed

    wanted = [{name: item[name] for name in ("Key", "Size", "ETag")} for item in of_client.get("Contents", [])]
    assert both.get("Contents", []) == wanted
    assert both["KeyCount"] == of_client["KeyCount"] == len(keys)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<a><Contents><Key>a</Key></Contents></a>", 200),
        (b"<a><Contents><Key>a</Size></Contents></a>", 200),
        (b"<a><Contents><Key>a</Key><Size>x</Size><ETag>e</ETag></Contents></a>", 200),
        (b"<a><Contents><Key>&entity;</Key><Size>1</Size><ETag>e</ETag></Contents></a>", 200),
        (b"<Error><Code>NoSuchBucket</Code></Error>", 404),
        (b"", 200),
    ],
)
def test_what_is_no_sound_page_is_the_clients(body: bytes, status: int) -> None:
    """The client says what is wrong with it, as with any other answer."""
    assert _split(body, status) == (body, {})
