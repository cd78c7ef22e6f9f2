"""The simple properties of an XMP packet, where programs and drones write what EXIF leaves out.

What they mean is up to `exif`. Pillow's own reader needs a library more, and flattens the namespaces.
"""

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from pipeline.core.xml import parse_xml

MAX_PACKET_BYTES = 1_000_000
"""A larger packet is history and previews; a JPEG's holds 65,502 bytes at most."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"

_PREFIXES = {
    "{http://ns.adobe.com/exif/1.0/": "exif",
    "{http://ns.adobe.com/xap/1.0/": "xmp",
    "{http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "{http://ns.adobe.com/tiff/1.0/": "tiff",
    "{http://www.dji.com/drone-dji/1.0/": "drone-dji",
}
"""Namespaces that are read, and their usual prefix; a packet may choose another."""


def read_properties(info: Mapping[str | tuple[int, int], object]) -> dict[str, str]:
    """Return the texts of a photo's XMP by `prefix:name`; none where there is no packet, or one over the limit.

    Args:
        info: Pillow's `Image.info`.

    Raises:
        ValueError: the packet is not well formed.
    """
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    data = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
    if not isinstance(data, bytes) or not 0 < len(data) <= MAX_PACKET_BYTES:
        return {}
    properties: dict[str, str] = {}
    for rdf in parse_xml(data.strip(b"\0 \t\r\n")).iter(f"{_RDF}RDF"):
        # Deeper descriptions are of other photos, which went into this one.
        for description in rdf.findall(f"{_RDF}Description"):
            for name, text in _list_properties(description):
                properties.setdefault(name, text)
    return properties


def _list_properties(description: Element) -> Iterator[tuple[str, str]]:
    """Yield what is set, as attributes or as elements; XMP knows both ways to write it."""
    elements = [(child.tag, child.text or "") for child in description]
    for name, text in [*description.items(), *elements]:
        namespace, _, local_name = name.partition("}")
        if namespace in _PREFIXES and text.strip():
            yield f"{_PREFIXES[namespace]}:{local_name}", text
