"""Photos with crack masks: their boxes and the labels of the boxes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.labels import masks
from pipeline.labels.boxes import Box
from pipeline.labels.mask_files import Mask


@st.composite
def crack_masks(draw: st.DrawFn) -> Mask:
    """Draw a mask with a few bars and specks, which are cracks to the rule."""
    crack = np.zeros((draw(st.integers(1, 300)), draw(st.integers(1, 300))), dtype=np.bool_)
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, 299)), draw(st.integers(0, 299))
        height, width = draw(st.sampled_from([(1, 1), (120, 2), (3, 40), (27, 1), (28, 28)]))
        crack[top : top + height, left : left + width] = True
    return crack


@st.composite
def boxes_in_masks(draw: st.DrawFn) -> tuple[Mask, Box]:
    """Draw a mask and any square in it."""
    crack = draw(crack_masks())
    side = draw(st.integers(1, min(crack.shape)))
    top, left = (draw(st.integers(0, length - side)) for length in crack.shape)
    return crack, Box(top, left, side, side)


def distance_px(crack: Mask, box: Box) -> float:
    """Return the distance of a box from the nearest crack pixel, the larger of rows and columns; 0 inside."""
    if not crack.any():
        return np.inf
    rows, cols = np.nonzero(crack)
    down = np.maximum(box.top_px - rows, rows - (box.top_px + box.height_px - 1))
    right = np.maximum(box.left_px - cols, cols - (box.left_px + box.width_px - 1))
    return float(np.maximum(np.maximum(down, right), 0).min())


@given(case=boxes_in_masks())
@settings(deadline=None, max_examples=50)
def test_sound_means_no_crack_near(case: tuple[Mask, Box]) -> None:
    """A box is sound exactly if no crack pixel is in it or within 8 pixels of it."""
    crack, box = case
    assert (masks.label_box(crack, box) is False) == (distance_px(crack, box) > masks.MARGIN_PX)


@given(case=boxes_in_masks())
@settings(deadline=None, max_examples=50)
def test_cracked_means_a_crack_in_plain_sight(case: tuple[Mask, Box]) -> None:
    """A box is cracked exactly if the crack crosses a quarter of its rows or columns, and some is in its middle."""
    crack, box = case
    rows, cols = np.nonzero(crack[box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px])
    side = box.height_px
    crossed = max(len(set(rows.tolist())), len(set(cols.tolist())))
    near, far = side // 4, side - side // 4
    middle = ((near <= rows) & (rows < far) & (near <= cols) & (cols < far)).any()
    assert (masks.label_box(crack, box) is True) == (crossed * 4 >= side and bool(middle))


@given(case=boxes_in_masks())
@settings(deadline=None, max_examples=50)
def test_flips_and_turns_keep_the_label(case: tuple[Mask, Box]) -> None:
    """A photo turned or mirrored with its mask has the same label at the same place."""
    crack, box = case
    height, width = crack.shape
    top, left, side, _ = box
    found = masks.label_box(crack, box)
    assert masks.label_box(crack[::-1], Box(height - top - side, left, side, side)) is found
    assert masks.label_box(crack[:, ::-1], Box(top, width - left - side, side, side)) is found
    assert masks.label_box(crack.T, Box(left, top, side, side)) is found


@given(height_px=st.integers(1, 700), width_px=st.integers(1, 700))
@example(height_px=1, width_px=1)
@settings(deadline=None, max_examples=50)
def test_boxes_cover_the_photo(height_px: int, width_px: int) -> None:
    """Boxes of every side that fits are unique squares in the photo, and together they reach every pixel."""
    sound = list(masks.label_boxes(np.zeros((height_px, width_px), dtype=np.bool_)))
    assert not any(cracked for _, cracked in sound)
    boxes = [box for box, _ in sound]
    assert len(set(boxes)) == len(boxes)
    shorter_px = min(height_px, width_px)
    assert {box.height_px for box in boxes} == ({112, 160, 224, 320} & set(range(shorter_px + 1)) or {shorter_px})
    for side in {box.height_px for box in boxes}:
        seen = np.zeros((height_px, width_px), dtype=np.bool_)
        for top, left, height, width in (box for box in boxes if box.height_px == side):
            assert height == width
            assert 0 <= top <= height_px - side
            assert 0 <= left <= width_px - side
            seen[top : top + side, left : left + side] = True
        assert seen.all()


@given(crack=crack_masks())
@settings(deadline=None, max_examples=50)
def test_boxes_come_with_their_labels(crack: Mask) -> None:
    """Every box has the label of the rule."""
    for box, cracked in masks.label_boxes(crack):
        assert masks.label_box(crack, box) is cracked


def write(folder: Path, name: str, crack: Mask, mode: str = "1") -> None:
    """Write a grey photo and its mask."""
    for part in (masks.IMAGES, masks.MASKS):
        (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", crack.shape[::-1], (90, 90, 90)).save(folder / masks.IMAGES / f"{name}.jpg")
    mask = Image.fromarray(crack.astype(np.uint8) * (255 if mode == "1" else 1))
    mask.convert(mode).save(folder / masks.MASKS / f"{name}.png")


def crossed(height_px: int = 40, width_px: int = 60) -> Mask:
    """Return a crack from left to right."""
    crack = np.zeros((height_px, width_px), dtype=np.bool_)
    crack[height_px // 2] = True
    return crack


def read(folder: Path) -> list[masks.MaskedPhoto]:
    """Read a local folder of photos and masks."""
    return list(masks.read_masked_photos(storage.canonical(str(folder))))


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_any_pixel_over_zero_is_crack(tmp_path: Path, mode: str) -> None:
    """Masks of one bit, grey or colours mean the same, and a level of 1 means crack as 255 does."""
    write(tmp_path, "deep/a", crossed(), mode)
    (photo,) = read(tmp_path)
    assert photo.url.endswith("images/deep/a.jpg")
    assert photo.pixels.shape == (40, 60, 3)
    assert (photo.crack == crossed()).all()


def test_depths_may_differ(tmp_path: Path) -> None:
    """A mask of 16 bits whose crack is 1 says the same beside one of 8 bits whose crack is 255."""
    for name in ("a", "b"):
        write(tmp_path, name, crossed())
    Image.fromarray(crossed().astype(np.uint16)).save(tmp_path / "masks" / "a.png")
    assert [photo.crack.tolist() for photo in read(tmp_path)] == [crossed().tolist()] * 2


@pytest.mark.parametrize(
    "name",
    ["a.tif", "a.TIFF", "a.bmp", "a.gif", "a.jpg", "a_mask.png", "a-mask.bmp", "a_GT.png", "a_label.tif", "a.jpg.png",
     "a_lab.png", "a_seg.png", "a.JPG_mask.png"],
)  # fmt: skip
def test_names_and_endings_of_masks(tmp_path: Path, name: str) -> None:
    """A mask has its photo's name, perhaps with its ending or a word for masks after it, in any format."""
    write(tmp_path, "a", crossed())
    (tmp_path / "masks" / "a.png").unlink()
    Image.fromarray(crossed().astype(np.uint8) * 255).save(tmp_path / "masks" / name)
    (photo,) = read(tmp_path)
    assert (photo.crack == crossed()).all()


def test_a_photo_of_its_own_takes_its_mask(tmp_path: Path) -> None:
    """A name ends in a word for masks by chance where a photo has the whole name."""
    for name, height_px in (("a", 40), ("a_mask", 30)):
        write(tmp_path, name, crossed(height_px))
    assert [len(photo.crack) for photo in read(tmp_path)] == [40, 30]


def test_two_masks_of_one_photo(tmp_path: Path) -> None:
    """Nobody knows which one counts."""
    write(tmp_path, "a", crossed())
    Image.new("1", (60, 40)).save(tmp_path / "masks" / "a_mask.bmp")
    with pytest.raises(
        UsageError, match=r"a\.png and .*a_mask\.bmp are masks of the same photo; expected one\. Remove"
    ):
        read(tmp_path)


def test_names_composed_and_decomposed(tmp_path: Path) -> None:
    """An accent of its own, as macOS writes it, makes no other name."""
    write(tmp_path, "Brücke", crossed())
    (tmp_path / "masks" / "Brücke.png").rename(tmp_path / "masks" / "Bru\u0308cke.png")
    assert len(read(tmp_path)) == 1


def test_what_is_a_masked_folder(tmp_path: Path) -> None:
    """It needs both folders; hidden files and files that are no pictures do not count."""
    write(tmp_path, "a", crossed())
    (tmp_path / "images" / "notes.txt").write_text("no picture")
    (tmp_path / "masks" / ".b.png").write_bytes(b"")
    assert masks.is_masked(storage.canonical(str(tmp_path)))
    assert not masks.is_masked(storage.canonical(str(tmp_path / "images")))
    assert len(read(tmp_path)) == 1


def test_photo_without_mask(tmp_path: Path) -> None:
    """A photo without a mask raises an error and does not count as sound."""
    for name in ("a", "b", "c"):
        write(tmp_path, name, crossed())
    for name in ("b", "c"):
        (tmp_path / "masks" / f"{name}.png").unlink()
    with pytest.raises(UsageError, match=r"^2 of 3 photos have no mask, .*/images/b\.jpg\. Expected masks/b\.png in"):
        read(tmp_path)


def test_mask_without_photo(tmp_path: Path) -> None:
    """A mask without its photo raises an error."""
    for name in ("a", "b"):
        write(tmp_path, name, crossed())
    (tmp_path / "images" / "b.jpg").unlink()
    with pytest.raises(
        UsageError, match=r"^1 of 2 masks have no photo, .*/masks/b\.png\. Expected a photo images/b in"
    ):
        read(tmp_path)


def test_two_photos_of_one_name(tmp_path: Path) -> None:
    """Two photos whose names differ only in the ending cannot share a mask."""
    write(tmp_path, "a", crossed())
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "a.PNG")
    with pytest.raises(UsageError, match=r"a\.PNG and .*a\.jpg have the same name, and a mask belongs to one photo\."):
        read(tmp_path)


def test_mask_of_another_size(tmp_path: Path) -> None:
    """The error for a mask of another size than its photo gives both sizes."""
    write(tmp_path, "a", crossed())
    Image.new("1", (60, 41)).save(tmp_path / "masks" / "a.png")
    with pytest.raises(
        UsageError, match=r"a\.png is 41 pixels high and 60 wide; its photo .* is 40 pixels high and 60"
    ):
        read(tmp_path)


def test_masks_that_are_all_empty(tmp_path: Path) -> None:
    """Masks that mark nothing at all raise an error."""
    write(tmp_path, "a", np.zeros((40, 60), dtype=np.bool_))
    with pytest.raises(UsageError, match=r"^Not even the one mask in .*/masks marks a crack; expected pixels over 0"):
        read(tmp_path)


def test_inverted_mask(tmp_path: Path) -> None:
    """A mask that marks everything but the crack raises an error."""
    write(tmp_path, "a", ~crossed())
    with pytest.raises(UsageError, match=r"a\.png marks 98% of its photo; expected the crack alone, and 0 elsewhere\."):
        read(tmp_path)


@pytest.mark.parametrize(("place", "noun"), [("images/a.jpg", "photo"), ("masks/a.png", "mask")])
def test_damaged_file(tmp_path: Path, place: str, noun: str) -> None:
    """The error names a file that cannot be decoded."""
    write(tmp_path, "a", crossed())
    (tmp_path / place).write_bytes(b"no picture")
    with pytest.raises(UsageError, match=rf"{place} cannot be read: No {noun} in .* Repair it, or remove both"):
        read(tmp_path)


def test_a_mask_of_a_format_that_is_not_read(tmp_path: Path) -> None:
    """The error says that it is there, and what to do."""
    write(tmp_path, "a", crossed())
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "a_mask.webp")
    folder = storage.canonical(str(tmp_path))
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"1 of 1 photo has no mask, the first: {folder}/images/a.jpg. Expected masks/a.png in {folder}; "
        f"{folder}/masks/a_mask.webp is no mask, since .webp is not read. Save it as PNG."
    )


def test_what_is_left_out(tmp_path: Path) -> None:
    """Photos that are not decoded, pictures elsewhere and links to folders are listed; what is read is not."""
    write(tmp_path, "deep/a", crossed())
    for path in ("images/b.NEF", "masks/c.webp", "more/d.jpg", "e.png", "images/.f.dng", "notes.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    (tmp_path / "images" / "linked").symlink_to(tmp_path / "images" / "deep")
    folder = storage.canonical(str(tmp_path))
    assert masks.list_left_out(folder) == {
        f"{folder}/images/b.NEF": "nef",
        f"{folder}/masks/c.webp": "webp",
        f"{folder}/more/d.jpg": "jpg",
        f"{folder}/e.png": "png",
        f"{folder}/images/linked": masks.FOLDER_LINK,
    }
