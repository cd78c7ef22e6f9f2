"""Tables of labelled tiles, and manifests."""

import unicodedata
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.labels import label_tables
from pipeline.labels.boxes import Box
from pipeline.labels.label_tables import ClassNames

NAMES = ClassNames()


def write(path: Path, text: str) -> str:
    """Write a file and return its URL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return storage.canonical(str(path))


def test_csv(tmp_path: Path) -> None:
    """Paths are relative to the table, labels are words or numbers, and groups belong to the table."""
    url = write(tmp_path / "t.csv", "path,label,group\na.jpg,positive,7\nsub/b.jpg,0,7\n/far/c.jpg,1,\n")
    rows = label_tables.read_table(url, NAMES).rows
    assert [row.cracked for row in rows] == [True, False, True]
    assert [row.url for row in rows[:2]] == [storage.canonical(str(tmp_path / name)) for name in ("a.jpg", "sub/b.jpg")]
    assert rows[2].url == "file:///far/c.jpg"
    assert rows[0].group == rows[1].group != "7"
    assert rows[2].group == rows[2].url


def test_parquet(tmp_path: Path) -> None:
    """A Parquet table means the same as a CSV, with numbers, booleans and nulls."""
    for labels in ([1, 0], [True, False], [1.0, 0.0], ["Positive", "NEGATIVE"]):
        pq.write_table(
            pa.table({"file": ["a.jpg", "b.jpg"], "label": labels, "photo_block": [3, None]}), tmp_path / "t.parquet"
        )
        rows = label_tables.read_table(storage.canonical(str(tmp_path / "t.parquet")), NAMES).rows
        assert [row.cracked for row in rows] == [True, False]
        assert rows[0].group.endswith(":3")
        assert rows[1].group == rows[1].url


def test_boxes(tmp_path: Path) -> None:
    """A row may be a part of its file, with whole numbers as pandas writes them beside empty values."""
    text = (
        "path,label,top_px,left_px,height_px,width_px\na.jpg,1,0,56,112,112\na.jpg,0,,,,\na.jpg,0,5.0,0.0,20.0,10.0\n"
    )
    rows = label_tables.read_table(write(tmp_path / "t.csv", text), NAMES).rows
    assert [row.box for row in rows] == [Box(0, 56, 112, 112), None, Box(5, 0, 20, 10)]
    assert len({row.group for row in rows}) == 1
    columns = {"path": ["a.jpg"] * 2, "label": [0, 1], **{name: [7, None] for name in Box._fields}}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    rows = label_tables.read_table(storage.canonical(str(tmp_path / "t.parquet")), NAMES).rows
    assert [row.box for row in rows] == [Box(7, 7, 7, 7), None]


@pytest.mark.parametrize("box", ["0,0,0,10", "0,0,10,0", "-1,0,9,9", "0,0.5,9,9", ",0,9,9", "0,0,9,", "a,0,9,9"])
def test_wrong_boxes(tmp_path: Path, box: str) -> None:
    """An invalid box raises an error with its row and is no whole file."""
    url = write(tmp_path / "t.csv", f"path,label,top_px,left_px,height_px,width_px\na.jpg,1,0,0,9,9\na.jpg,1,{box}\n")
    with pytest.raises(UsageError, match=r"The box in row 2 of .*t\.csv is top_px .*; expected whole pixels from 0 on"):
        label_tables.read_table(url, NAMES)


def test_class_names_go_before_numbers(tmp_path: Path) -> None:
    """Classes with the names 0 and 1 count by their names."""
    url = write(tmp_path / "t.csv", "path,label\na.jpg,0\nb.jpg,1\n")
    rows = label_tables.read_table(url, ClassNames("0", "1")).rows
    assert [row.cracked for row in rows] == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.jpg,1\n", "has no column path or file; it has name, label. Expected path and label."),
        ("Path;Score\na.jpg;1\n", "has no column label; it has Path, Score. Expected path and label."),
        ("path,label, Label\na.jpg,1,0\n", "has 2 columns label; expected one. Rename or remove the others."),
        ("path,label\n ,1\n", "There is a label in row 1 of "),
        ('path,label\n"a.jpg,1\nb.jpg,0\n', "is no CSV: unexpected end of data. Save it again as CSV, with quotes in"),
        ("path,label\n", "has no column path or file; it has no rows. Expected path and label."),
        ("", "has no column path or file; it has no rows. Expected path and label."),
        ("path,label\na.jpg,1\nb.jpg,maybe\n", "is 'maybe'; expected Positive or 1 for cracked, Negative or 0"),
        ("path,label\na.jpg\n", "Not even the one row of "),
        ("path,label\na.jpg,1\nb\0.jpg,1\n", "b\\x00.jpg', with a zero byte in it, as no file has. Correct it."),
    ],
)
def test_wrong_csv(tmp_path: Path, text: str, message: str) -> None:
    """The error for an invalid table says what was found and what was expected."""
    with pytest.raises(UsageError) as caught:
        label_tables.read_table(write(tmp_path / "t.csv", text), NAMES)
    assert message in str(caught.value)
    assert "t.csv" in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.xlsx"])
def test_no_table(tmp_path: Path, name: str) -> None:
    """A file that is no table raises an error with its name."""
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 no table")
    with pytest.raises(UsageError, match=name):
        label_tables.read_table(storage.canonical(str(tmp_path / name)), NAMES)


@pytest.mark.parametrize(
    "listed", ["train/Positive/a.jpg", "tiles/train/Positive/a.jpg", "renamed/train/Positive/a.jpg"]
)
@pytest.mark.parametrize("below", ["", "train", "train/Positive"])
def test_manifest(tmp_path: Path, listed: str, below: str) -> None:
    """A manifest in the folder or up to two above names files from its own folder or the one above, even renamed."""
    write(tmp_path / "tiles" / "manifest.csv", f"file,label,split,photo_block\n{listed},Positive,train,P1\n")
    tile = write(tmp_path / "tiles" / "train" / "Positive" / "a.jpg", "")
    groups = label_tables.read_groups(storage.canonical(str(tmp_path / "tiles" / below)))
    assert groups[tile].endswith(":P1")


def test_nearest_manifest_counts(tmp_path: Path) -> None:
    """Of two manifests that list a tile, the nearer one gives its group."""
    write(tmp_path / "manifest.csv", "file,group\nset/a.jpg,far\nset/b.jpg,far\n")
    write(tmp_path / "set" / "manifest.csv", "file,group\na.jpg,near\n")
    folder = storage.canonical(str(tmp_path / "set"))
    groups = label_tables.read_groups(folder)
    assert groups[f"{folder}/a.jpg"].endswith(":near")
    assert groups[f"{folder}/b.jpg"].endswith(":far")


def test_manifest_of_something_else(tmp_path: Path) -> None:
    """A manifest without the known columns gives no groups."""
    write(tmp_path / "manifest.csv", "id;size\n1;2\n")
    assert label_tables.read_groups(storage.canonical(str(tmp_path))) == {}


def test_root() -> None:
    """A folder at the root of the disk has no parents with manifests."""
    assert label_tables.read_groups("file:///nowhere") == {}


def test_manifest_as_table(tmp_path: Path) -> None:
    """A manifest that names files from the folder above can serve as a table."""
    url = write(tmp_path / "tiles" / "manifest.csv", "file,label\ntiles/a.jpg,1\ntiles/b.jpg,0\n")
    tile = write(tmp_path / "tiles" / "a.jpg", "")
    assert label_tables.read_table(url, NAMES).rows[0].url == tile


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    """Empty, blank, null or cut short. A wrong word still raises an error, with its row number in the table."""
    table = label_tables.read_table(write(tmp_path / "t.csv", "path,label\na.jpg,1\nb.jpg,\nc.jpg,  \nd.jpg\n"), NAMES)
    assert [storage.name(row.url) for row in table.rows] == ["a.jpg"]
    assert table.unlabelled == 3
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "label": [None, 0]}), tmp_path / "t.parquet")
    assert label_tables.read_table(storage.canonical(str(tmp_path / "t.parquet")), NAMES).unlabelled == 1
    with pytest.raises(UsageError, match=r"row 2 of .* is 'maybe'"):
        label_tables.read_table(write(tmp_path / "w.csv", "path,label\na.jpg,\nb.jpg,maybe\n"), NAMES)


def test_an_image_id_is_a_group(tmp_path: Path) -> None:
    """`image_id` gives one group over all tables; the column `group` counts only if it is empty."""
    text = "path,label,group,image_id\n{0}.jpg,1,x,00ff\n{0}2.jpg,0,x,\n"
    one, two = (
        label_tables.read_table(write(tmp_path / f"{name}.csv", text.format(name)), NAMES).rows for name in "ab"
    )
    assert one[0].group == two[0].group
    assert len({one[0].group, one[1].group, two[1].group}) == 3


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ("a", ("b", " A "), "'a' names cracked tiles and sound ones. Give every name once, with --positive or with"),
        ((), "b", "The names of the classes are '' and 'b'; expected at least one for each, and none empty."),
        ("a", ("b", " "), "The names of the classes are 'a' and 'b,  '; expected at least one for each"),
    ],
)
def test_names_that_say_nothing(positive: str | tuple[str, ...], negative: tuple[str, ...], message: str) -> None:
    """A name in both classes, an empty one, and a class without a name are refused."""
    with pytest.raises(UsageError) as caught:
        ClassNames(positive, negative)
    assert str(caught.value).startswith(message)


def test_several_names() -> None:
    """A class may have one name or several, in any case and with blanks around them."""
    names = ClassNames(("CD", "Straße"), "UD")
    assert [names.parse(word) for word in ("cd ", "STRASSE", "ud", "U", "")] == [True, True, False, None, None]


def test_a_label_of_no_class(tmp_path: Path) -> None:
    """The error lists all names, and how to give others."""
    url = write(tmp_path / "t.csv", "path,label\na.jpg,CP\n")
    with pytest.raises(UsageError) as caught:
        label_tables.read_table(url, ClassNames(("CD", "CW"), ("UD", "UP")))
    assert str(caught.value) == (
        f"The label in row 1 of {url} is 'CP'; expected CD, CW or 1 for cracked, UD, UP or 0 for sound. Other names "
        "can be given with --positive and --negative, as many as there are."
    )


def urls_of(tmp_path: Path, text: str) -> list[str]:
    """Return the places of a table's paths, without the folder of the test."""
    rows = label_tables.read_table(write(tmp_path / "set" / "t.csv", text), NAMES).rows
    return [row.url.removeprefix(f"file://{tmp_path}/") for row in rows]


def test_windows_paths(tmp_path: Path) -> None:
    """Backslashes separate folders, with and without `.` in front, from the table's folder or the one above."""
    text = "path,label\nD\\CD\\a.jpg,1\n.\\D\\UD\\b.jpg,0\nc.jpg,0\n"
    assert urls_of(tmp_path, text) == ["set/D/CD/a.jpg", "set/D/UD/b.jpg", "set/c.jpg"]
    write(tmp_path / "D" / "CD" / "a.jpg", "")
    assert urls_of(tmp_path, text) == ["D/CD/a.jpg", "D/UD/b.jpg", "c.jpg"]


def test_a_backslash_in_a_name(tmp_path: Path) -> None:
    """A file whose name has a backslash, as old programs unpack it, is found as it is."""
    write(tmp_path / "set" / "D\\a.jpg", "")
    assert urls_of(tmp_path, "path,label\nD\\a.jpg,1\n") == ["set/D\\a.jpg"]


@pytest.mark.parametrize("path", [r"C:\Users\me\a.jpg", "d:/photos/a.jpg", r"\\nas\photos\a.jpg", "file:///C:/a.jpg"])
def test_drives_of_windows(tmp_path: Path, path: str) -> None:
    """A path on a drive is of no use here; the error says what to write instead."""
    url = write(tmp_path / "t.csv", f"path,label\nb.jpg,0\n{path},1\n")
    with pytest.raises(UsageError) as caught:
        label_tables.read_table(url, NAMES)
    assert str(caught.value) == (
        f"The path in row 2 of {url} is {path}, on a drive of Windows, which is not here. Write paths relative to the "
        f"table's folder, file://{tmp_path}, with the files beside it."
    )


def test_windows_paths_in_a_manifest(tmp_path: Path) -> None:
    """Its groups count, too, whatever its header looks like."""
    tile = write(tmp_path / "tiles" / "train" / "a.jpg", "")
    for listed in ("train\\a.jpg", "tiles\\train\\a.jpg", "./train/a.jpg"):
        write(tmp_path / "tiles" / "manifest.csv", f" File ,Photo Block\n{listed},P1\n")
        assert label_tables.read_groups(f"file://{tmp_path}/tiles")[tile].endswith(":P1")


@pytest.mark.parametrize(
    "header", ["Path,LABEL", " path , label ", "File Name,Class", "filename,class", "IMAGE,Label", "image_path,label"]
)
def test_headers_as_people_write_them(tmp_path: Path, header: str) -> None:
    """Capitals, blanks and a few other names make no difference, in CSV or Parquet."""
    assert urls_of(tmp_path, f"{header}\na.jpg,1\n") == ["set/a.jpg"]
    names = header.split(",")
    pq.write_table(pa.table([["a.jpg"], [1]], names=names), tmp_path / "t.parquet")
    [row] = label_tables.read_table(storage.canonical(str(tmp_path / "t.parquet")), NAMES).rows
    assert (row.path, row.cracked) == ("a.jpg", True)


def test_blanks(tmp_path: Path) -> None:
    """Blanks around values mean nothing; empty lines and rows of delimiters count for nothing."""
    text = '\n,,\npath,label,group\n\n a.jpg , 1 , 7 \n,,\n  , ,\n"b.jpg", "Negative ",7\nc.jpg,,\n'
    table = label_tables.read_table(write(tmp_path / "t.csv", text), NAMES)
    assert [(row.path, row.cracked) for row in table.rows] == [("a.jpg", True), ("b.jpg", False)]
    assert len({row.group for row in table.rows}) == 1
    assert table.unlabelled == 1


def test_pictures_within_a_parquet_table(tmp_path: Path) -> None:
    """A column of pictures is no column of paths; numbers that are not there are no labels."""
    pictures = pa.array([{"bytes": b"1", "path": "a"}] * 2)
    pq.write_table(pa.table([pictures, [1, 0]], names=["image", "label"]), tmp_path / "t.parquet")
    url = storage.canonical(str(tmp_path / "t.parquet"))
    with pytest.raises(UsageError, match=r"has no column path or file; it has image, label\."):
        label_tables.read_table(url, NAMES)
    columns = {"path": ["a.jpg", "b.jpg"], "label": pa.array([1.0, float("nan")])}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert label_tables.read_table(url, NAMES).unlabelled == 1


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheets_csv_is_read(tmp_path: Path, delimiter: str) -> None:
    """Semicolons or tabs separate columns in some locales; commas then belong to the values."""
    text = delimiter.join(["path", "label", "note"]) + "\r\n" + delimiter.join(["a, b.jpg", "1", "1,5"]) + "\r\n"
    [row] = label_tables.read_table(write(tmp_path / "t.csv", text), NAMES).rows
    assert storage.name(row.url) == "a, b.jpg"


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("xmin,ymin,xmax,ymax", "xmin, ymin, xmax, ymax"),
        ("width,height,X Min,YMin,XMax,YMax", "X Min, YMin, XMax, YMax"),
        ("top,left,height,width", "top, left"),
        ("x,y,w,h", "x, y, w, h"),
        ("x,y,width,height", "x, y, width, height"),
        ("top_pixel,left_pixel,height_pixel,width_pixel", "top_pixel, left_pixel"),
        ("bbox", "bbox"),
        ("bbox_x,bbox_y,bbox_width,bbox_height", "bbox_x, bbox_y, bbox_width, bbox_height"),
        ("top (px),left_px,height_px,width_px", "top (px)"),
    ],
)
def test_boxes_in_other_words_are_refused(tmp_path: Path, columns: str, found: str) -> None:
    """Columns of boxes that are not read would label whole photos; the error names them."""
    url = write(tmp_path / "t.csv", f"image,label,{columns}\na.jpg,1,{','.join('9' * (columns.count(',') + 1))}\n")
    with pytest.raises(UsageError) as caught:
        label_tables.read_table(url, NAMES)
    assert str(caught.value) == (
        f"{url} has boxes in the columns {found}, which are not read; expected top_px, left_px, height_px, width_px. "
        "Rename and convert them, or remove them if every row is a whole file. The exports of labelling tools are read "
        "as COCO, Pascal VOC, YOLO, labelme, CVAT or Label Studio."
    )


@pytest.mark.parametrize("columns", ["width,height", "x,y", "row,col", "w", "top", "photo_top_px,photo_left_px", "box"])
def test_columns_that_are_no_boxes(tmp_path: Path, columns: str) -> None:
    """The size of the picture, a place on a map, and a single word say nothing of a part of the file."""
    values = ",".join("9" * (columns.count(",") + 1))
    [row] = label_tables.read_table(write(tmp_path / "t.csv", f"path,label,{columns}\na.jpg,1,{values}\n"), NAMES).rows
    assert row.box is None


def test_boxes_in_two_words(tmp_path: Path) -> None:
    """Where our own columns are, others beside them do no harm."""
    text = "path,label,xmin,ymin,top_px,left_px,height_px,width_px\na.jpg,1,5,6,1,2,3,4\n"
    assert label_tables.read_table(write(tmp_path / "t.csv", text), NAMES).rows[0].box == Box(1, 2, 3, 4)


def test_shifted_rows_are_refused(tmp_path: Path) -> None:
    """Decimal commas without quotes, and row names without a header, put values into the wrong columns."""
    header = "path,label,top_px,left_px,height_px,width_px"
    for text in (f"{header}\na.jpg,1,,,,,\nb.jpg,1,10,5,20,0,9,0,9,0\n", f"{header}\n\na.jpg,1\n1,b.jpg,1,0,0,9,9\n"):
        url = write(tmp_path / "manifest.csv", text)
        with pytest.raises(UsageError) as caught:
            label_tables.read_table(url, NAMES)
        assert str(caught.value) == (
            f"Row 2 of {url} has more values than the header has columns (6), so they are shifted. Put values that "
            "hold the separator, such as a decimal comma, in quotes."
        )
    write(tmp_path / "manifest.csv", "path,group\na.jpg,7,8\n")
    with pytest.raises(UsageError, match=r"Row 1 of .* has more values"):
        label_tables.read_groups(storage.canonical(str(tmp_path)))
    write(tmp_path / "manifest.csv", "author,note\nme,7,8\n")  # of something else
    assert label_tables.read_groups(storage.canonical(str(tmp_path))) == {}


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("path,label,class", "a.jpg,1,Negative", "label and class mean the same, and {} has '1' and 'Negative'"),
        ("path,file,label", "a.jpg,b.jpg,1", "path and file mean the same, and {} has 'a.jpg' and 'b.jpg'"),
        ("path,label,Photo Block,group", "a.jpg,1,x,y", "group and photoblock mean the same, and {} has 'y' and 'x'"),
    ],
)
def test_columns_that_contradict_each_other(tmp_path: Path, header: str, row: str, found: str) -> None:
    """Of two columns that mean the same none can be trusted where they differ."""
    url = write(tmp_path / "t.csv", f"{header}\n{row}\n")
    with pytest.raises(UsageError) as caught:
        label_tables.read_table(url, NAMES)
    assert str(caught.value) == f"The columns {found.format(f'row 1 of {url}')}. Rename or remove one of them."


@pytest.mark.parametrize("column", ["group", "top_px", "image_id"])
def test_a_column_twice(tmp_path: Path, column: str) -> None:
    """Two columns of one name contradict each other."""
    url = write(tmp_path / "t.csv", f"path,label,{column},{column.title()}\na.jpg,1,1,1\n")
    with pytest.raises(UsageError, match=r"t\.csv has 2 columns \w+; expected one\. Rename or remove the others\."):
        label_tables.read_table(url, NAMES)


def test_columns_that_agree(tmp_path: Path) -> None:
    """The same class in two words, a name beside its path, and the photo of a tile are no contradiction."""
    text = "path,filename,image,label,class\nset/a.jpg,a.jpg,7.jpg,1,positive\n.\\set\\b.jpg,set/b.jpg,7.jpg,0,\n"
    assert len(label_tables.read_table(write(tmp_path / "t.csv", text), NAMES).rows) == 2


def test_a_box_of_thousands_of_digits(tmp_path: Path) -> None:
    """It is an invalid box, and the message stays short."""
    text = f"path,label,top_px,left_px,height_px,width_px\na.jpg,1,{'9' * 5000},0,1,1\n"
    with pytest.raises(UsageError, match=r"The box in row 1 of .* is top_px '9{40}', left_px '0',"):
        label_tables.read_table(write(tmp_path / "t.csv", text), NAMES)


@pytest.mark.parametrize(("on_disk", "listed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents(tmp_path: Path, on_disk: Literal["NFC", "NFD"], listed: Literal["NFC", "NFD"]) -> None:
    """A name that looks the same is the same, in paths and in class names: macOS writes accents apart."""
    file = write(tmp_path / unicodedata.normalize(on_disk, "Brücke.jpg"), "")
    text = unicodedata.normalize(listed, "path,label\na.jpg,0\nmissing-ü.jpg,0\nBrücke.jpg,1\n")
    assert label_tables.read_table(write(tmp_path / "t.csv", text), NAMES).rows[2].url == file
    names = ClassNames(unicodedata.normalize(on_disk, "Schäden"), "ok")
    assert names.parse(unicodedata.normalize(listed, "SCHÄDEN")) is True


def test_equal_paths_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolving takes far longer than the rest, and a table of boxes has few files."""
    url = write(tmp_path / "t.csv", "path,label\n" + "a.jpg,1\nb.jpg,0\n" * 500)
    sought: list[str] = []
    canonical = storage.canonical

    def noting(path: str) -> str:
        sought.append(path)
        return canonical(path)

    monkeypatch.setattr(storage, "canonical", noting)
    assert len(label_tables.read_table(url, NAMES).rows) == 1000
    assert len(sought) < 10
