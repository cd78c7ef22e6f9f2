"""Photos with annotations from labelling tools: their tiles and the labels of the tiles."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import storage
from pipeline.annotations.entries import Coordinates, Entry, Size
from pipeline.annotations.rle import Mask, encode
from pipeline.annotations.shapes import Area, Label, Line, draw, turn
from pipeline.core.errors import UsageError
from pipeline.labels import annotated_photos, masks
from pipeline.labels.annotated_photos import ROUNDING, AnnotatedBoxes, label_by_frame
from pipeline.labels.boxes import Box
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.mask_files import MOST_CRACK
from tests.helpers.annotation_files import WRITERS, Ring, compress, paint, write_photo

NAMES = ClassNames("Crack", "Sound")
SIZE = Size(300, 340)


def read(folder: Path, names: ClassNames = NAMES) -> AnnotatedBoxes:
    """Read a local export."""
    return annotated_photos.read_labelled_boxes(storage.canonical(str(folder)), names)


def labels_of(boxes: AnnotatedBoxes) -> dict[Box, bool]:
    """The labels of the boxes, whatever the photo is called."""
    return {box: cracked for _, box, cracked in boxes.boxes}


def write_cvat(folder: Path, shapes: str, size: Size = SIZE, name: str = "a.png") -> None:
    """Write a CVAT export of one photo."""
    write_photo(folder / name, size)
    image = f'<image name="{name}" width="{size.width_px}" height="{size.height_px}">{shapes}</image>'
    (folder / "annotations.xml").write_text(f"<annotations>{image}</annotations>")


@st.composite
def cracks(draw_one: st.DrawFn) -> list[Ring]:
    """Draw outlines of cracks, in quarters of a pixel off the whole ones, so that no rounding depends on a format."""
    coordinate = st.integers(0, 290).map(lambda whole: whole + 0.25)
    return draw_one(
        st.lists(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=6), min_size=1, max_size=2)
    )


@given(rings=cracks())
@settings(deadline=None, max_examples=8)
def test_all_formats_say_the_same(rings: list[Ring]) -> None:
    """One drawing gives the same tiles with the same labels, whichever tool wrote it down."""
    entry = Entry("", "")
    crack = draw([Area(Label((), entry), (np.array(ring),)) for ring in rings], SIZE)
    if crack.mean() > MOST_CRACK:
        return
    expected = dict(masks.label_boxes(crack))
    for write in WRITERS.values():
        with TemporaryDirectory() as folder:
            write(Path(folder), "a.png", SIZE, rings, "crack")
            assert labels_of(read(Path(folder))) == expected


@given(rings=cracks())
@settings(deadline=None, max_examples=8)
def test_masks_say_what_outlines_say(rings: list[Ring]) -> None:
    """The pixels inside the outlines, as COCO's runs, as CVAT's, or painted in Label Studio, give the same tiles."""
    crack = draw([Area(Label((), Entry("", "")), (np.array(ring),)) for ring in rings], SIZE)
    if crack.mean() > MOST_CRACK:
        return
    expected = dict(masks.label_boxes(crack))
    counts = encode(crack, by_columns=True).counts.tolist()
    for runs in (counts, compress(counts)):
        with TemporaryDirectory() as folder:
            write_photo(Path(folder) / "a.png", SIZE)
            segmentation = {"size": list(SIZE), "counts": runs}
            (Path(folder) / "coco.json").write_text(json.dumps(coco(segmentation=segmentation, iscrowd=1)))
            assert labels_of(read(Path(folder))) == expected
    with TemporaryDirectory() as folder:
        part = crack[10:, 20:].copy()
        row_runs = ", ".join(map(str, encode(part).counts.tolist()))
        rest = crack.copy()
        rest[10:, 20:] = False
        rest_runs = ",".join(map(str, encode(rest).counts.tolist()))
        write_cvat(
            Path(folder),
            f'<mask label="Crack" rle="{row_runs}" left="20" top="10" width="320" height="290"/>'
            f'<mask label="Crack" rle="{rest_runs}" left="0" top="0" width="340" height="300"/>',
        )
        assert labels_of(read(Path(folder))) == expected
    with TemporaryDirectory() as folder:
        write_photo(Path(folder) / "a.png", SIZE)
        value = {"format": "rle", "rle": paint(crack), "brushlabels": ["crack"]}
        result = {"id": "x", "value": value, "original_width": 340, "original_height": 300, "type": "brushlabels"}
        task = {"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}
        (Path(folder) / "tasks.json").write_text(json.dumps([task]))
        assert labels_of(read(Path(folder))) == expected


def coco(size: Size = SIZE, **annotation: object) -> dict[str, object]:
    """Return a COCO export of one photo with one annotation."""
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": size.height_px, "width": size.width_px}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **annotation}],
        "categories": [{"id": 1, "name": "Crack"}],
    }


@st.composite
def walks(draw_one: st.DrawFn) -> tuple[Mask, Coordinates]:
    """Draw a crack that is connected, and the box around it."""
    crack = np.zeros(SIZE, np.bool_)
    row, column = draw_one(st.integers(60, 240)), draw_one(st.integers(0, 200))
    for _ in range(draw_one(st.integers(20, 130))):
        crack[row, column] = True
        row = min(max(row + draw_one(st.sampled_from([-1, 0, 0, 0, 1])), 0), 299)
        column += 1
    rows, columns = np.nonzero(crack)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return crack, np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def is_cracked_by(corners: Coordinates, box: Box) -> bool:
    """Return what one box says of one tile."""
    (cracked,) = label_by_frame(corners, np.array([box])).tolist()
    return bool(cracked)


def clip_plainly(origin: Coordinates, direction: Coordinates, box: Box, inset_px: int) -> tuple[float, float]:
    """Clip one line to one tile, by Liang and Barsky, one coordinate after the other."""
    start, end = 0.0, 1.0
    for place, step, low, side in zip(
        origin.tolist(), direction.tolist(), (box.left_px, box.top_px), (box.width_px, box.height_px), strict=True
    ):
        bounds = low + inset_px - place, low + side - inset_px - place
        if step == 0:
            start, end = (start, end) if bounds[0] <= 0 <= bounds[1] else (1.0, 0.0)
        else:
            first, last = sorted(bound / step for bound in bounds)
            start, end = max(start, first), min(end, last)
    return start, end


def is_crossed_plainly(corners: Coordinates, box: Box) -> bool:
    """Say of one tile what `label_by_frame` says of many, for a box whose first side is a long one."""
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    clipped = [clip_plainly(corner, along, box, 0) for corner in (corners[0], corners[3])]
    start, end = max(first for first, _ in clipped), min(last for _, last in clipped)
    if end - start <= ROUNDING:
        return False
    part = along * (end - start)
    near, far = clip_plainly(corners[0] + across / 2 + along * start, part, box, box.height_px // 4)
    crossed_px = float((np.abs(part) - np.abs(across)).max())
    return far - near > ROUNDING and crossed_px >= masks.LEAST_SPAN * box.height_px - ROUNDING


@given(
    sides=st.tuples(st.integers(-50, 350), st.integers(-50, 350), st.integers(1, 300), st.integers(1, 300)),
    degrees=st.sampled_from([0, 0, 90, 17, 45, 200]),
)
@settings(deadline=None, max_examples=100)
def test_many_tiles_at_once(sides: tuple[int, int, int, int], degrees: int) -> None:
    """What a box says of a photo's tiles is what plain arithmetic says of each."""
    left, top, width, height = sides
    right, bottom = left + width, top + height
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    corners = turn(corners, (left, top), degrees) if degrees else corners
    boxes = [box for box, _ in masks.label_boxes(np.zeros(SIZE, np.bool_))]
    lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    ways = [
        way
        for way, is_long in ((0, lengths[0] >= lengths[1] - ROUNDING), (-1, lengths[1] >= lengths[0] - ROUNDING))
        if is_long
    ]
    expected = [any(is_crossed_plainly(np.roll(corners, way, axis=0), box) for way in ways) for box in boxes]
    assert label_by_frame(corners, np.array(boxes)).tolist() == expected


@given(case=walks(), top=st.integers(0, 188), left=st.integers(0, 228), turns=st.integers(0, 3))
@settings(deadline=None, max_examples=200)
def test_a_box_never_says_more_than_its_crack(case: tuple[Mask, Coordinates], top: int, left: int, turns: int) -> None:
    """A tile that a box makes cracked has a crack over a quarter of its rows or columns, whichever corner is first."""
    crack, corners = case
    box = Box(top, left, 112, 112)
    if is_cracked_by(np.roll(corners, turns, axis=0), box):
        inside = crack[top : top + 112, left : left + 112]
        assert max(inside.any(axis=0).sum(), inside.any(axis=1).sum()) >= 28
    assert is_cracked_by(corners, box) == is_cracked_by(np.roll(corners, turns, axis=0)[::-1], box)


@pytest.mark.parametrize(
    ("left", "top", "right", "bottom", "cracked"),
    [
        (0, 50, 300, 62, True),  # across the tile
        (0, 50, 60, 62, True),  # to its middle, over more than a quarter
        (0, 50, 27, 62, False),  # not to its middle half
        (30, 50, 57, 62, False),  # too short: 27 of 112
        (30, 50, 58, 62, True),
        (0, -5, 300, 12, False),  # its narrow side reaches out of the tile
        (0, 0, 300, 12, False),  # along the tile's edge
        (50, 0, 62, 300, True),  # upright
        (-10, -10, 120, 130, False),  # the crack may be anywhere
        (10, 10, 100, 100, True),  # inside, on all sides
    ],
)
def test_when_a_box_makes_a_tile_cracked(*, left: int, top: int, right: int, bottom: int, cracked: bool) -> None:
    """The tile holds its narrow side, over a quarter of the tile's own, in the middle."""
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    assert is_cracked_by(corners, Box(0, 0, 112, 112)) is cracked


@pytest.mark.parametrize("degrees", [0, 30, 45, 80, 90, 135, 250])
def test_a_turned_box(tmp_path: Path, degrees: int) -> None:
    """It makes no more tiles cracked than the crack along its middle does, but some; no tile near it is sound."""
    write_cvat(tmp_path, f'<box label="crack" xtl="20" ytl="140" xbr="320" ybr="150" rotation="{degrees}"/>')
    found = labels_of(read(tmp_path))
    ends = turn(np.array([(20, 145), (320, 145)], np.float64), (170, 145), degrees)
    along = dict(masks.label_boxes(draw([Line(Label((), Entry("", "")), ends)], SIZE)))
    cracked = [box for box, is_cracked in found.items() if is_cracked]
    assert cracked
    assert all(along[box] for box in cracked)
    assert all(along[box] is False for box, is_cracked in found.items() if not is_cracked)


@given(left=st.integers(-20, 330), top=st.integers(-20, 290), width=st.integers(30, 300), height=st.integers(25, 300))
@settings(deadline=None, max_examples=20)
def test_sound_tiles_are_away_from_boxes(left: int, top: int, width: int, height: int) -> None:
    """A tile is sound exactly if no pixel of a box is in it or within the margin."""
    with TemporaryDirectory() as folder:
        right, bottom = left + width, top + height
        write_cvat(Path(folder), f'<box label="crack" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>')
        found = labels_of(read(Path(folder)))
    margin = masks.MARGIN_PX
    for box, _ in masks.label_boxes(np.zeros(SIZE, np.bool_)):
        apart = (
            box.left_px >= min(right, 340) + margin
            or box.left_px + box.width_px + margin <= max(left, 0)
            or box.top_px >= min(bottom, 300) + margin
            or box.top_px + box.height_px + margin <= max(top, 0)
        )
        assert (found.get(box) is False) == apart


def test_a_line_is_a_crack(tmp_path: Path) -> None:
    """A line along a crack labels tiles as a mask does."""
    write_cvat(tmp_path, '<polyline label="crack" points="0,150;340,150"/>')
    crack = np.zeros(SIZE, np.bool_)
    crack[149:152] = True
    assert labels_of(read(tmp_path)) == dict(masks.label_boxes(crack))


def test_nothing_drawn_is_sound(tmp_path: Path) -> None:
    """Every tile of a photo that is listed without shapes is sound; photos that are not listed are not used."""
    write_cvat(tmp_path, "")
    write_photo(tmp_path / "b.png", SIZE)
    found = read(tmp_path)
    assert labels_of(found) == dict(masks.label_boxes(np.zeros(SIZE, np.bool_)))
    assert found.unannotated == 1
    assert {storage.name(box.url) for box in found.boxes} == {"a.png"}


def test_an_unknown_name_may_be_a_crack(tmp_path: Path) -> None:
    """No tile near a shape with another name is sound, and the names are counted; a known sound place says nothing."""
    spalling = '<box label="spalling" xtl="0" ytl="0" xbr="20" ybr="20"/>'
    write_cvat(tmp_path, spalling + '<polygon label="sound" points="300,200;330,200;330,260"/>')
    found = read(tmp_path)
    assert found.unmatched == {"spalling": 1}
    expected = np.zeros(SIZE, np.bool_)
    expected[:20, :20] = True
    assert labels_of(found) == {box: label for box, label in masks.label_boxes(expected) if not label}


def test_names_that_are_all_unknown(tmp_path: Path) -> None:
    """Where no annotation has the name of a class, no photo passes for sound: the error lists what there is."""
    write_cvat(tmp_path, '<tag label="wet"/><box label="fissure" xtl="0" ytl="0" xbr="9" ybr="9"/>' * 2)
    with pytest.raises(UsageError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"None of the 4 annotations in file://{tmp_path} has the name of a class. Found: 'wet' (2), 'fissure' (2). "
        "Give what means a crack with --positive, and what means none with --negative."
    )


@pytest.mark.parametrize(
    ("shapes", "tiles"),
    [
        ('<tag label="sound"/>', "all"),
        ('<tag label="sound"/><box label="stain" xtl="9" ytl="9" xbr="99" ybr="99"/>', "all"),
        ('<tag label="crack"/>', "none"),
        ('<tag label="fissure"/><polygon label="sound" points="1,1;9,1;9,9"/>', "none"),
        ('<tag label="sound"/><tag label="crack"/>', "none"),
        ('<tag label="good_frame"/><polyline label="crack" points="0,150;340,150"/>', "some"),
    ],
)
def test_words_about_the_whole_photo(tmp_path: Path, shapes: str, tiles: str) -> None:
    """Sound covers what is not known; a crack, or an unknown word, that nobody drew leaves a photo out."""
    write_cvat(tmp_path, shapes)
    found = read(tmp_path)
    everything = dict(masks.label_boxes(np.zeros(SIZE, np.bool_)))
    assert found.only_remarked == (tiles == "none")
    if tiles == "some":
        assert set(labels_of(found).values()) == {False, True}
    else:
        assert labels_of(found) == (everything if tiles == "all" else {})


def test_a_point_leaves_its_surroundings_out(tmp_path: Path) -> None:
    """Nobody knows how far the crack at a point reaches; points are counted."""
    write_cvat(tmp_path, '<points label="crack" points="10,10;20,20"/>')
    found = read(tmp_path)
    assert found.points == 1
    assert Box(0, 0, 112, 112) not in labels_of(found)
    assert not any(labels_of(found).values())
    assert labels_of(found)[Box(188, 228, 112, 112)] is False


def test_most_of_a_photo_is_no_crack(tmp_path: Path) -> None:
    """An outline around everything is a mistake, as an inverted mask is."""
    write_cvat(tmp_path, '<polygon label="crack" points="0,0;340,0;340,300;0,290"/>')
    with pytest.raises(UsageError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"Annotations mark 98% of file://{tmp_path}/a.png as crack; expected the crack alone. Give only the name of "
        "cracks with --positive, and draw places with cracks in them as boxes."
    )


def test_a_photo_of_another_size(tmp_path: Path) -> None:
    """The declared size is the size of the photo as it is seen."""
    (tmp_path / "coco.json").write_text(json.dumps(coco(Size(200, 340), bbox=[1, 1, 9, 9])))
    write_photo(tmp_path / "a.png", SIZE)
    with pytest.raises(UsageError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"entry 0 of images of file://{tmp_path}/coco.json says that its photo is 200 pixels high and 340 wide; "
        f"file://{tmp_path}/a.png is 300 pixels high and 340 wide (upright, as its EXIF says). Give the photo that was "
        "drawn on."
    )


def test_a_photo_that_its_exif_turns(tmp_path: Path) -> None:
    """Annotations of a photo as it is stored do not fit the upright photo; the error says why."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (340, 300)).save(tmp_path / "a.png", exif=exif)
    (tmp_path / "coco.json").write_text(json.dumps(coco(bbox=[1, 1, 9, 9])))
    with pytest.raises(UsageError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"entry 0 of images of file://{tmp_path}/coco.json says that its photo is 300 pixels high and 340 wide; "
        f"file://{tmp_path}/a.png is 340 pixels high and 300 wide (upright, as its EXIF says). It was drawn on before "
        "its EXIF turned it upright: export again from a tool that heeds EXIF."
    )
    (tmp_path / "coco.json").write_text(json.dumps(coco(Size(340, 300), bbox=[1, 1, 9, 9])))
    assert read(tmp_path).boxes


def test_a_damaged_photo(tmp_path: Path) -> None:
    """It is named, with what to do."""
    (tmp_path / "coco.json").write_text(json.dumps(coco(bbox=[1, 1, 9, 9])))
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"a.png cannot be read: .* Repair it, or remove it and its annotations\.$"):
        read(tmp_path)


def test_missing_photos_are_told(tmp_path: Path) -> None:
    """They are listed as the export names them, and the others are used."""
    content = coco(bbox=[1, 1, 9, 9])
    content["images"] = [*content["images"], {"id": 2, "file_name": "deep/b.png"}]  # type: ignore[misc]
    (tmp_path / "coco.json").write_text(json.dumps(content))
    write_photo(tmp_path / "a.png", SIZE)
    found = read(tmp_path)
    assert found.missing == ["deep/b.png"]
    assert found.boxes


def test_yolo_takes_a_missing_file_for_sound(tmp_path: Path) -> None:
    """Such photos are sound and counted, where the folder of labels has any file."""
    WRITERS["yolo"](tmp_path, "a.png", SIZE, [[(0, 150.25), (339, 150.25), (339, 152)]], "crack")
    write_photo(tmp_path / "images" / "train" / "b.png", SIZE)
    write_photo(tmp_path / "images" / "test" / "c.png", SIZE)
    found = read(tmp_path)
    assert found.assumed_sound == 1
    assert found.unannotated == 1
    assert {storage.name(box.url) for box in found.boxes} == {"a.png", "b.png"}
    assert not any(box.cracked for box in found.boxes if box.url.endswith("b.png"))


@pytest.mark.parametrize("names", [("a.csv",), ("Positive/a.png", "Negative/b.png"), ("images/a.png", "masks/a.png")])
def test_what_holds_no_annotations(tmp_path: Path, names: Sequence[str]) -> None:
    """Tables, sorted tiles, and photos with masks are read otherwise, even with COCO beside the masks."""
    for name in names:
        write_photo(tmp_path / name, SIZE) if name.endswith("png") else (tmp_path / name).write_text("path,label\n")
    if "masks/a.png" in names:
        (tmp_path / "coco.json").write_text(json.dumps(coco(bbox=[1, 1, 9, 9])))
    place = tmp_path / names[0] if len(names) == 1 else tmp_path
    assert not annotated_photos.is_annotated(storage.canonical(str(place)))


@pytest.mark.parametrize("kind", WRITERS)
def test_what_holds_annotations(tmp_path: Path, kind: str) -> None:
    """A folder of any format does, and so does its file."""
    WRITERS[kind](tmp_path, "a.png", SIZE, [[(0, 0), (9, 9), (0, 9)]], "crack")
    assert annotated_photos.is_annotated(storage.canonical(str(tmp_path)))
    files = [file for file in storage.list_files(f"file://{tmp_path}") if file.path.endswith(("json", "xml", "yaml"))]
    assert [annotated_photos.is_annotated(file.url) for file in files] == [True]
    assert annotated_photos.read_labelled_boxes(files[0].url, NAMES).boxes == read(tmp_path).boxes


@pytest.mark.parametrize(
    ("count", "photos"), [(1, "1 photo in the folder is"), (1200, "1,200 photos in the folder are")]
)
def test_every_count_is_told(count: int, photos: str) -> None:
    """Nothing of an export is dropped silently, and one photo is no photos."""
    found = AnnotatedBoxes(
        [], {"wet": count}, ["b.png"] * count, count, count, count, count, ["X is captions."] * count
    )
    told = annotated_photos.list_unused(found)
    assert len(told) == len(AnnotatedBoxes._fields) - 1
    assert told[2] == f"{photos} not in the annotations, and not used."
    assert all(sentence.startswith(f"{count:,} ") and sentence.endswith(".") for sentence in told)
    assert annotated_photos.list_unused(AnnotatedBoxes([], {}, [], 0, 0, 0, 0, [])) == []
