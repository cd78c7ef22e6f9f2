"""Annotation files that are damaged, or made to hurt: each ends in a `UsageError`, soon and in little memory."""

import base64
import copy
import io
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import storage
from pipeline.annotations.entries import Size
from pipeline.annotations.rle import encode
from pipeline.core.errors import UsageError
from pipeline.labels import annotated_photos
from pipeline.labels.label_tables import ClassNames
from tests.helpers.annotation_files import compress, paint, write_photo

SIZE = Size(120, 130)
NAMES = ClassNames("Crack", "Sound")
DIAGONAL = np.eye(120, 130, dtype=np.bool_)


def encode_png(size: Size) -> str:
    """Return a black PNG in base64."""
    data = io.BytesIO()
    Image.new("1", (size.width_px, size.height_px)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def coco() -> object:
    """COCO instances with every form of a shape."""
    counts = encode(DIAGONAL, by_columns=True).counts.tolist()
    shapes: list[dict[str, object]] = [
        {"segmentation": [[1, 2, 30, 40, 5, 60], [50, 50, 60, 50, 60, 60]], "iscrowd": 0},
        {"segmentation": {"size": [120, 130], "counts": counts}, "iscrowd": 1},
        {"segmentation": {"size": [120, 130], "counts": compress(counts)}},
        {"bbox": [10, 20.5, 60, 8], "segmentation": []},
    ]
    return {
        "info": {"year": 2025},
        "images": [{"id": 1, "file_name": "a.png", "width": 130, "height": 120}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 1, **shape} for i, shape in enumerate(shapes)],
        "categories": [{"id": 1, "name": "crack", "supercategory": "damage"}],
    }


def labelme() -> object:
    """A labelme file with every form of a shape."""
    points = {
        "polygon": [[1, 2], [30, 40], [5, 60]],
        "rectangle": [[90, 80], [10, 70]],
        "circle": [[50, 50], [60, 60]],
        "line": [[0, 60], [129, 60]],
        "linestrip": [[0, 60], [60, 70], [129, 60]],
        "point": [[5, 5]],
        "rotation": [[5, 5], [50, 50], [45, 55], [0, 10]],
        "mask": [[10, 10], [19, 19]],
    }
    shapes = [{"label": "crack", "shape_type": kind, "points": value, "flags": {}} for kind, value in points.items()]
    shapes[-1]["mask"] = encode_png(Size(10, 10))
    return {
        "version": "5.5.0",
        "flags": {"sound": False},
        "shapes": shapes,
        "imagePath": "..\\x\\a.png",
        "imageData": None,
        "imageHeight": 120,
        "imageWidth": 130,
    }


def label_studio() -> object:
    """A Label Studio export with every form of a region."""
    values: list[dict[str, object]] = [
        {"x": 1, "y": 2, "width": 50, "height": 5, "rotation": 20, "rectanglelabels": ["crack"]},
        {"points": [[1, 2], [30, 40], [5, 60]], "polygonlabels": ["crack"]},
        {"format": "rle", "rle": paint(DIAGONAL), "brushlabels": ["crack"]},
        {"x": 50, "y": 50, "radiusX": 5, "radiusY": 9, "rotation": 10, "ellipselabels": ["crack"]},
        {"x": 50, "y": 50, "width": 1, "keypointlabels": ["crack"]},
        {"vertices": [{"x": 1, "y": 1}, {"x": 90, "y": 50}], "closed": False, "vectorlabels": ["crack"]},
        {"choices": ["sound"]},
    ]
    results = [
        {"id": f"r{i}", "value": value, "original_width": 130, "original_height": 120, "image_rotation": 0}
        for i, value in enumerate(values)
    ]
    return [{"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"result": results}]}]


def cvat() -> str:
    """A CVAT export with every form of a shape."""
    runs = ", ".join(map(str, encode(DIAGONAL[:20, :20]).counts.tolist()))
    return f"""<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>
<image id="0" name="x/a.png" width="130" height="120">
<box label="crack" xtl="5" ytl="6.5" xbr="99" ybr="12" rotation="9"/>
<polygon label="crack" points="1.5,2;30,40;5,60"/><polyline label="crack" points="0,60;129,60"/>
<points label="crack" points="3,4"/><mask label="crack" rle="{runs}" left="10" top="9" width="20" height="20"/>
<ellipse label="crack" cx="50" cy="50" rx="9" ry="4.5" rotation="45"/><tag label="sound"/></image></annotations>"""


def pascal_voc() -> str:
    """A VOC file with every form of an object."""
    return """<annotation><folder>x</folder><filename>a.png</filename>
<size><width>130</width><height>120</height></size>
<object><name>crack</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>99</xmax><ymax>12</ymax></bndbox></object>
<object><name>crack</name><polygon><x1>1</x1><y1>2</y1><x2>30</x2><y2>40</y2><x3>5</x3><y3>60</y3></polygon></object>
<object><name>crack</name><polygon><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>9</x><y>9</y></pt></polygon>
</object><object><name>crack</name><robndbox><cx>50</cx><cy>50</cy><w>60</w><h>8</h><angle>0.5</angle></robndbox></object>
</annotation>"""


def yolo() -> str:
    """Lines of every form."""
    return "0 0.5 0.5 0.5 0.1\n0 0.5 0.5 0.2 0.1 0.9\n\n0 0.1 0.1 0.9 0.5 0.2 0.6\n0 0.1 0.1 0.9 0.5 0.2 0.6 0.1 0.3"


WHOLE: dict[str, Callable[[], str]] = {
    "a.json": lambda: json.dumps(coco()),
    "b.json": lambda: json.dumps(labelme()),
    "c.json": lambda: json.dumps(label_studio()),
    "d.xml": cvat,
    "e.xml": pascal_voc,
    "a.txt": yolo,
    "classes.txt": lambda: "crack\nstain",
    "data.yaml": lambda: "path: .\ntrain: images\nnames:\n  0: crack\n  1: stain\n",
}
"""Name of a file to its content."""

NASTY: list[object] = [
    None, True, False, 0, -1, 1e308, -0.0, 0.5, float("nan"), float("inf"), 10**300, 2**31, 10**12, "", "x", "\ud800",
    "\0", "../" * 9, "a.png", [], {}, [[]], [[[1, 2]]], {"x": 1}, [None], ["crack"], "1e999", "9" * 400, [0] * 500,
]  # fmt: skip
"""Values that stand where others are expected."""
NASTY_TEXTS = [
    "",
    "-1",
    "nan",
    "inf",
    "1e308",
    "9" * 400,
    "0",
    ",",
    ";",
    "1,2;3",
    "٣",
    "\u00e9",
    "../../x",
    "1_0",
    "1e3",
]


def mutate_json(value: object, chance: random.Random) -> object:
    """Change some values of a document, at any depth."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        places: list[tuple[object, object]] = []
        stack = [value]
        while stack:
            node = stack.pop()
            keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
            places += [(node, key) for key in keys]
            stack += [node[key] for key in keys]  # type: ignore[index]
        if not places:
            return value
        node, key = chance.choice(places)
        kind = chance.random()
        if kind < 0.2:
            del node[key]  # type: ignore[attr-defined]
        elif kind < 0.3 and isinstance(node, list):
            node += node
        else:
            node[key] = copy.deepcopy(chance.choice(NASTY))  # type: ignore[index]
    return value


def mutate_text(text: str, chance: random.Random) -> bytes:
    """Change a number, or some bytes, or cut the text."""
    data = text.encode()
    kind = chance.random()
    if kind < 0.5:
        words = text.replace("<", " <").replace(">", "> ").replace('"', ' " ').split(" ")
        for _ in range(chance.choice([1, 1, 2, 4])):
            words[chance.randrange(len(words))] = chance.choice(NASTY_TEXTS)
        joined = " ".join(words).replace(' " ', '"').replace("> ", ">").replace(" <", "<")
        return joined.encode("utf-8", "surrogatepass")
    if kind < 0.9:
        changed = bytearray(data)
        for _ in range(chance.choice([1, 2, 8])):
            changed[chance.randrange(len(changed))] = chance.choice([chance.randrange(256), *b'0<>"&;,-.'])
        return bytes(changed)
    return data[: chance.randrange(len(data))]


def read_mutated(seed: int) -> str:
    """Read one mutated export; return the error that it ended in, or nothing."""
    chance = random.Random(seed)
    name = chance.choice(list(WHOLE))
    content = {kept: make().encode() for kept, make in WHOLE.items() if kept == name}
    if name in {"a.txt", "classes.txt", "data.yaml"}:
        content = {kept: WHOLE[kept]().encode() for kept in ("a.txt", "classes.txt", "data.yaml")}
    if name.endswith(".json") and chance.random() < 0.8:
        document = {"a.json": coco, "b.json": labelme, "c.json": label_studio}[name]()
        content[name] = json.dumps(mutate_json(document, chance)).encode()
    else:
        content[name] = mutate_text(WHOLE[name](), chance)
    with TemporaryDirectory() as folder:
        write_photo(Path(folder) / "a.png", SIZE)
        for kept, data in content.items():
            (Path(folder) / kept).write_bytes(data)
        url = storage.canonical(folder)
        try:
            if annotated_photos.is_annotated(url):
                annotated_photos.read_labelled_boxes(url, NAMES)
            elif "a.txt" not in content:
                annotated_photos.read_labelled_boxes(storage.join(url, name), NAMES)
        except UsageError as error:
            return str(error)
    return ""


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=150)
def test_damaged_files_are_refused_in_words(seed: int) -> None:
    """Whatever is changed in a file, it is read or ends in a `UsageError` of moderate length that can be printed."""
    assert len(read_mutated(seed).encode()) < 2000


@pytest.mark.parametrize("name", ["a.json", "b.json", "c.json", "d.xml", "e.xml"])
def test_the_whole_files_are_read(tmp_path: Path, name: str) -> None:
    """What is mutated is sound to begin with."""
    write_photo(tmp_path / "a.png", SIZE)
    (tmp_path / name).write_text(WHOLE[name]())
    found = annotated_photos.read_labelled_boxes(storage.canonical(str(tmp_path)), NAMES)
    assert any(box.cracked for box in found.boxes)


def change(document: object, path: list[object], value: object) -> str:
    """Return a document as JSON with one value changed."""
    node = document
    for key in path[:-1]:
        node = node[key]  # type: ignore[index]
    node[path[-1]] = value  # type: ignore[index]
    return json.dumps(document)


RUNS = ["annotations", 1, "segmentation"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", '{"shapes":' + "[" * 100_000, "is damaged JSON: maximum recursion depth exceeded"),
        ("a.json", '{"shapes":' * 100_000, "is damaged JSON: maximum recursion depth exceeded"),
        ("a.json", '{"images": [' + "9" * 5000 + "]}", "is damaged JSON: Exceeds the limit"),
        ("e.xml", "<annotation>" * 100_000, "cannot be read as XML: it is nested more than 100 levels deep"),
        ("e.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "cannot be read as XML: it declares a document type"),
        ("a.json", change(coco(), [*RUNS, "size"], [10**6, 10**6]), r"the size \(1000000, 1000000\); expected height"),
        ("a.json", change(coco(), [*RUNS, "counts"], [0] * 10**5), "a mask whose runs add up to 0"),
        ("a.json", change(coco(), [*RUNS, "counts"], "0" * 10**5), "a mask whose runs add up to 0"),
        ("a.json", change(coco(), [*RUNS, "counts"], "o" * 10**6), "compressed run lengths with 'o'"),
        (
            "a.json",
            change(coco(), ["annotations", 0, "segmentation"], [[1] * 100_001]),
            "an outline of 50,000.5 points",
        ),
        ("a.json", change(coco(), ["annotations", 3, "bbox"], [0, 0, 1e300, 5]), "bbox 1e\\+300; expected a number"),
        ("a.json", change(coco(), ["annotations", 3, "bbox"], [0, 0, 10**400, 5]), "bbox 1000"),
        ("c.json", change(label_studio(), [0, "annotations", 0, "result", 2, "value", "rle"], [255] * 99), "a painted"),
        (
            "b.json",
            change(labelme(), ["shapes", 7, "mask"], encode_png(Size(30_000, 30_000))),
            "mask '.*more than 400,000,000 pixels",
        ),
        ("d.xml", cvat().replace('width="20" height="20"', 'width="200000" height="200000"'), "the size"),
        ("data.yaml", "names: " + "[" * 1000, "is damaged: maximum recursion depth exceeded"),
        ("data.yaml", "names: [&a [x,x], *a, *a]", r"has names \[.*; expected a list of texts"),
    ],
)
def test_claims_cost_nothing(tmp_path: Path, name: str, text: str, told: str) -> None:
    """Depth, numbers and sizes that would fill the memory are refused in less than 100 MB."""
    write_photo(tmp_path / "a.png", SIZE)
    (tmp_path / "a.txt").write_text("")
    (tmp_path / name).write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=told):
            annotated_photos.read_labelled_boxes(storage.canonical(str(tmp_path)), NAMES)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
