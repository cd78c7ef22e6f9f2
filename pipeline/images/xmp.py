"""The properties of an XMP packet, where programs and drones write what EXIF leaves out.

What they mean is up to `exif` and `scale_facts`. Pillow's own reader needs a library more, and flattens the namespaces.
"""

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from pipeline.core.xml import parse_xml

Info = Mapping[str | tuple[int, int], object]
"""Pillow's `Image.info`."""

MAX_PACKET_BYTES = 1_000_000
"""A larger packet is history and previews; a JPEG's holds 65,502 bytes at most."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"

_PREFIXES = {
    "{http://ns.adobe.com/exif/1.0/": "exif",
    "{http://ns.adobe.com/xap/1.0/": "xmp",
    "{http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "{http://ns.adobe.com/tiff/1.0/": "tiff",
    "{http://www.dji.com/drone-dji/1.0/": "drone-dji",
    "{https://www.skydio.com/drone-skydio/1.0/": "drone-skydio",
}
"""Namespaces that are read, and their usual prefix; a packet may choose another."""
_DRONE = b"/drone-"
"""What the namespaces of drones have in common."""


def is_of_drone(info: Info) -> bool:
    """Tell whether a photo's XMP may have properties of a drone, without parsing it."""
    return _DRONE in _read_packet(info)


def read_properties(info: Info) -> dict[str, str]:
    """Return the texts of a photo's XMP by `prefix:name`; none where there is no packet, or one over the limit.

    A structure has no text, but its fields have, by `prefix:name/field`.

    Raises:
        ValueError: the packet is not well formed.
    """
    data = _read_packet(info)
    if not data:
        return {}
    properties: dict[str, str] = {}
    for rdf in parse_xml(data.strip(b"\0 \t\r\n")).iter(f"{_RDF}RDF"):
        # Deeper descriptions are of other photos, which went into this one.
        for description in rdf.findall(f"{_RDF}Description"):
            for name, text in _list_properties(description):
                properties.setdefault(name, text)
    return properties


def _read_packet(info: Info) -> bytes:
    """Return the packet, empty where there is none, or one over the limit."""
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    data = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
    return data if isinstance(data, bytes) and len(data) <= MAX_PACKET_BYTES else b""


def _list_properties(description: Element) -> Iterator[tuple[str, str]]:
    """Yield what is set."""
    for name, text in [*_list_texts(description), *_list_fields(description)]:
        namespace, _, local_name = name.partition("}")
        if namespace in _PREFIXES and text.strip():
            yield f"{_PREFIXES[namespace]}:{local_name}", text


def _list_fields(description: Element) -> Iterator[tuple[str, str]]:
    """Yield the fields of structures; they stand in the property's element, or in a description within it."""
    for structure in description:
        for holder in (structure, *structure.findall(f"{_RDF}Description")):
            for name, text in _list_texts(holder):
                yield f"{structure.tag}/{name.rpartition('}')[2]}", text


def _list_texts(element: Element) -> list[tuple[str, str]]:
    """Return the texts of attributes and elements; XMP knows both ways to write a property."""
    return [*element.items(), *((child.tag, child.text or "") for child in element)]
