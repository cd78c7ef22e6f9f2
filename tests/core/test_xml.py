"""XML of unknown origin: what is parsed, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.xml import MAX_DEPTH, parse_xml


def test_names_are_qualified_as_in_elementtree() -> None:
    """An element and an attribute with a prefix have their namespace in braces."""
    root = parse_xml(b'<x:a xmlns:x="ns" x:key="1" bare="2">text<b/></x:a>')
    assert (root.tag, root.attrib, root.text, root[0].tag) == ("{ns}a", {"{ns}key": "1", "bare": "2"}, "text", "b")


@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_document_types_are_refused(prologue: str) -> None:
    """Neither entities that grow nor those that name other files are read."""
    with pytest.raises(ValueError, match=r"^it declares a document type, which is never read$"):
        parse_xml(f"{prologue}<a>&b;</a>".encode())


def test_deep_nesting_is_refused() -> None:
    """A document as deep as the limit is read, a deeper one is not."""
    assert parse_xml(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH).tag == "a"
    with pytest.raises(ValueError, match=r"^it is nested more than 100 levels deep$"):
        parse_xml(b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1))


def test_an_unknown_encoding_is_not_well_formed() -> None:
    """Python knows encodings that expat does not, and both do not know all."""
    with pytest.raises(ValueError, match=r"^it is no well-formed XML: unknown encoding: klingon$"):
        parse_xml(b"<?xml version='1.0' encoding='klingon'?><a/>")


@given(st.binary() | st.text(alphabet='<>&;/="! ab?x:[]-').map(str.encode))
def test_nonsense_raises_value_errors_only(data: bytes) -> None:
    """Whatever the bytes are, they parse or raise ValueError."""
    try:
        parse_xml(data)
    except ValueError as error:
        assert str(error).startswith("it ")  # noqa: PT017 - either outcome is right
