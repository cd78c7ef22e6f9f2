"""XML of unknown origin, parsed without what makes XML dangerous: no document types, so no entities of any kind.

Neither XMP packets nor annotation files need them, and a few bytes of entities can fill the memory or name other files.
"""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

MAX_DEPTH = 100
"""Deepest nesting; XMP and annotations have some ten levels."""


def parse_xml(data: bytes) -> Element:
    """Parse a document; the names of its elements and attributes are `{namespace}name`, as in ElementTree.

    Raises:
        ValueError: it is not well formed, declares a document type, or is nested too deeply.
    """
    parser, builder, depth = expat.ParserCreate(namespace_separator="}"), TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        builder.start(_qualify(tag), {_qualify(name): value for name, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_qualify(tag))

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type, which is never read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat's
    except (expat.ExpatError, LookupError) as error:  # LookupError: of an encoding that nobody knows
        raise ValueError(f"it is no well-formed XML: {error}") from error
    return builder.close()


def _qualify(name: str) -> str:
    return "{" + name if "}" in name else name
