"""Annotation files of every labelling tool, written from scratch as the tools write them, and read."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.annotations import documents
from pipeline.annotations.entries import Size
from pipeline.annotations.readers import READERS
from pipeline.annotations.rle import Mask
from pipeline.annotations.shapes import AnnotatedPhoto
from pipeline.core.errors import UsageError

URL = "file:///data/Annotations/a1.ext"
"""The file of `read_document`."""

Ring = Sequence[tuple[float, float]]
"""Corners, x before y."""


def write_photo(path: Path, size: Size) -> None:
    """Write a grey photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size.width_px, size.height_px), 128).save(path, compress_level=1)


def write_coco(folder: Path, name: str, size: Size, rings: Sequence[Ring], category: str = "crack") -> None:
    """Write `annotations/instances.json` beside `images/`."""
    write_photo(folder / "images" / name, size)
    (folder / "annotations").mkdir()
    instances = [
        {"id": index, "image_id": 7, "category_id": 3, "segmentation": [np.ravel(ring).tolist()], "iscrowd": 0}
        for index, ring in enumerate(rings)
    ]
    content = {
        "images": [{"id": 7, "file_name": name, "width": size.width_px, "height": size.height_px}],
        "annotations": instances,
        "categories": [{"id": 3, "name": category, "supercategory": "damage"}],
    }
    (folder / "annotations" / "instances.json").write_text(json.dumps(content))


def write_labelme(folder: Path, name: str, size: Size, rings: Sequence[Ring], category: str = "crack") -> None:
    """Write a JSON beside its photo."""
    write_photo(folder / name, size)
    shapes: list[dict[str, object]] = [
        {"label": category, "points": [*map(list, ring)], "group_id": None, "shape_type": "polygon", "flags": {}}
        for ring in rings
    ]
    content: dict[str, object] = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": name,
        "imageData": None,
        "imageHeight": size.height_px,
        "imageWidth": size.width_px,
    }
    (folder / name).with_suffix(".json").write_text(json.dumps(content))


def write_yolo(folder: Path, name: str, size: Size, rings: Sequence[Ring], category: str = "crack") -> None:
    """Write `labels/` beside `images/`, and `data.yaml`."""
    write_photo(folder / "images" / "train" / name, size)
    lines = [
        f"1 {' '.join(repr(float(part)) for part in np.ravel(np.array(ring) / [size.width_px, size.height_px]))}"
        for ring in rings
    ]
    labels = folder / "labels" / "train" / name
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.with_suffix(".txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(
        f"path: ../data\ntrain: images/train\nnc: 2\nnames:\n  0: stain\n  1: {category}\n"
    )


def write_pascal_voc(folder: Path, name: str, size: Size, rings: Sequence[Ring], category: str = "crack") -> None:
    """Write `Annotations/` beside `JPEGImages/`, with outlines as Roboflow adds them."""
    write_photo(folder / "JPEGImages" / name, size)
    (folder / "Annotations").mkdir()
    objects = "".join(
        f"<object><name>{category}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
        "<polygon>"
        + "".join(f"<x{index}>{x}</x{index}><y{index}>{y}</y{index}>" for index, (x, y) in enumerate(ring, start=1))
        + "</polygon></object>"
        for ring in rings
    )
    sides = f"<width>{size.width_px}</width><height>{size.height_px}</height><depth>3</depth>"
    text = f"<annotation><folder>VOC</folder><filename>{name}</filename><size>{sides}</size>{objects}</annotation>"
    (folder / "Annotations" / name).with_suffix(".xml").write_text(text)


def write_cvat(folder: Path, name: str, size: Size, rings: Sequence[Ring], category: str = "crack") -> None:
    """Write `annotations.xml` beside `images/`."""
    write_photo(folder / "images" / name, size)
    shapes = "".join(
        f'<polygon label="{category}" source="manual" occluded="0" z_order="0" '
        f'points="{";".join(f"{x},{y}" for x, y in ring)}"></polygon>'
        for ring in rings
    )
    image = f'<image id="0" name="{name}" width="{size.width_px}" height="{size.height_px}">{shapes}</image>'
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>{image}</annotations>'
    (folder / "annotations.xml").write_text(text)


def write_label_studio(folder: Path, name: str, size: Size, rings: Sequence[Ring], category: str = "crack") -> None:
    """Write an export beside the photo as it was before the upload."""
    write_photo(folder / name, size)
    percent = [(np.array(ring) / [size.width_px, size.height_px] * 100).tolist() for ring in rings]
    results = [
        {
            "id": f"region{index}",
            "type": "polygonlabels",
            "value": {"points": points, "closed": True, "polygonlabels": [category]},
            "original_width": size.width_px,
            "original_height": size.height_px,
            "image_rotation": 0,
        }
        for index, points in enumerate(percent)
    ]
    annotation = {"id": 1, "was_cancelled": False, "result": results}
    task = {"id": 1, "annotations": [annotation], "data": {"image": f"/data/upload/1/0a1b2c3d-{name}"}}
    (folder / "project-1-at-2025-06-01.json").write_text(json.dumps([task]))


WRITERS: dict[str, Callable[[Path, str, Size, Sequence[Ring], str], None]] = {
    "coco": write_coco,
    "labelme": write_labelme,
    "yolo": write_yolo,
    "pascal_voc": write_pascal_voc,
    "cvat": write_cvat,
    "label_studio": write_label_studio,
}


def compress(counts: Sequence[int]) -> str:
    """Compress run lengths as COCO does: `rleToString` in common/maskApi.c of github.com/cocodataset/cocoapi."""
    text = ""
    for index, count in enumerate(counts):
        value, more = count - (counts[index - 2] if index > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


def paint(mask: Mask, length_bits: Sequence[int] = (3, 4, 8, 16), *, filled: bool = True) -> list[int]:
    """Write a mask as Label Studio's brush: `encode_rle` in label_studio_converter/brush.py, or value by value."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in length_bits)
    start = 0
    while start < len(values):
        end = start + 1
        while end < len(values) and end - start < 1 << length_bits[3] and (not filled or values[end] == values[start]):
            end += 1
        bits += f"{filled:01b}11{end - start - 1:0{length_bits[3]}b}"
        bits += "".join(f"{value:08b}" for value in (values[start:end][:1] if filled else values[start:end]))
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[index : index + 8], 2) for index in range(0, len(bits), 8)]


def read_document(content: object) -> list[AnnotatedPhoto]:
    """Read a document, XML as text or what is JSON; its content tells the format."""
    document = documents.parse(URL, content.encode() if isinstance(content, str) else json.dumps(content).encode())
    assert isinstance(document, documents.Document)
    return list(READERS[document.format](document))


def error_of(content: object) -> str:
    """Return what is told of a wrong document."""
    with pytest.raises(UsageError) as error:
        read_document(content)
    return str(error.value)
