"""Pascal VOC: a file of VOC2012, and what other tools add."""

import numpy as np
import pytest

from pipeline.annotations.entries import Size
from pipeline.annotations.shapes import Area, Frame
from tests.helpers.annotation_files import URL, error_of, read_document

ENDS = "Correct or remove the entry, or export the annotations again."


VOC = """<annotation>
  <folder>VOC2012</folder>
  <filename>2007_000027.jpg</filename>
  <source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation><image>flickr</image></source>
  <size><width>486</width><height>500</height><depth>3</depth></size>
  <segmented>0</segmented>
  <object>
    <name>person</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
    <bndbox><xmin>174</xmin><ymin>101</ymin><xmax>349</xmax><ymax>351</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>169</xmin><ymin>104</ymin><xmax>209</xmax><ymax>146</ymax></bndbox></part>
  </object>
</annotation>"""
"""Annotations/2007_000027.xml of VOC2012, with one of its parts."""


def test_the_example_of_pascal_voc() -> None:
    """Its pixels count from 1, and the last is inside; parts of objects are not read."""
    (photo,) = read_document(VOC)
    assert photo.names == ("VOC2012/2007_000027.jpg", "2007_000027.jpg", "a1.*")
    assert photo.size == Size(500, 486)
    (box,) = photo.shapes
    assert isinstance(box, Frame)
    assert box.label.names == ("person",)
    assert box.corners[[0, 2]].tolist() == [[173, 100], [349, 351]]


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_voc_without_a_size(size: str) -> None:
    """LabelImg writes 0 for a size that it does not know; a photo without objects has no shapes."""
    (photo,) = read_document(f"<annotation><filename>a.jpg</filename>{size}</annotation>")
    assert photo.size is None
    assert photo.shapes == ()


def test_outlines_beside_voc() -> None:
    """Those of Roboflow and the old LabelMe are areas, a box of roLabelImg is turned; what is deleted is not read."""
    corners = [(1, 2), (30, 4), (9, 33)]
    numbered = "".join(f"<x{index}>{x}</x{index}><y{index}>{y}</y{index}>" for index, (x, y) in enumerate(corners, 1))
    pairs = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners)
    turned = "<robndbox><cx>20</cx><cy>25</cy><w>40</w><h>10</h><angle>1.5707963</angle></robndbox>"
    parts = [f"<polygon>{numbered}</polygon>", f"<polygon>{pairs}</polygon>", turned, "<deleted>1</deleted>"]
    objects = "".join(f"<object><name>crack</name>{part}</object>" for part in parts)
    ((first, second, box),) = (photo.shapes for photo in read_document(f"<annotation>{objects}</annotation>"))
    assert isinstance(first, Area)
    assert isinstance(second, Area)
    assert isinstance(box, Frame)
    assert first.rings[0].tolist() == second.rings[0].tolist() == [[1, 2], [30, 4], [9, 33]]
    assert np.allclose(box.corners, [[25, 5], [25, 45], [15, 45], [15, 5]], atol=1e-4)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ("<pose>x</pose>", "has the parts ['name', 'pose']; expected bndbox, polygon or robndbox."),
        ("<bndbox><xmin>5</xmin></bndbox>", "has ymin ''; expected a number from -1,000,000 to 1,000,000."),
        (
            "<bndbox><xmin>5</xmin><ymin>1</ymin><xmax>4</xmax><ymax>9</ymax></bndbox>",
            "has the box (4.0, 0.0, 4.0, 9.0); expected left < right and top < bottom.",
        ),
    ],
)
def test_wrong_objects_of_voc(parts: str, told: str) -> None:
    """Each is named."""
    text = f"<annotation><object><name>crack</name>{parts}</object></annotation>"
    assert error_of(text) == f"object 0 of {URL} {told} {ENDS}"
