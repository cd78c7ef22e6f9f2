"""Masks as run lengths, in the spellings of three tools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.annotations.entries import Entry, Size
from pipeline.annotations.rle import Mask, check_counts, encode, parse_coco, parse_label_studio
from pipeline.core.errors import UsageError
from tests.helpers.annotation_files import compress, paint

ENTRY = Entry("file:///a.json", "annotation 3")
MASKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))
ENDS = "Correct or remove the entry, or export the annotations again."


@given(mask=MASKS, by_columns=st.booleans())
def test_a_mask_comes_back(mask: Mask, by_columns: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """What is encoded is decoded, whichever way the runs go."""
    runs = encode(mask, by_columns=by_columns)
    assert (runs.decode() == mask).all()
    assert (check_counts(runs.counts.tolist(), runs.size, ENTRY, by_columns=by_columns).decode() == mask).all()


@given(mask=MASKS)
def test_a_compressed_mask_comes_back(mask: Mask) -> None:
    """COCO's text is undone."""
    counts = encode(mask, by_columns=True).counts.tolist()
    assert (parse_coco(compress(counts), Size(*mask.shape), ENTRY).decode() == mask).all()


@given(
    mask=MASKS,
    length_bits=st.tuples(*[st.integers(1, 16)] * 4),
    filled=st.booleans(),
)
def test_a_painted_mask_comes_back(mask: Mask, length_bits: tuple[int, ...], filled: bool) -> None:  # noqa: FBT001
    """Label Studio's bits are undone, with any sizes of blocks, filled or value by value."""
    assert (
        parse_label_studio(paint(mask, length_bits, filled=filled), Size(*mask.shape), ENTRY).decode() == mask
    ).all()


@pytest.mark.parametrize(
    ("flat", "counts"), [([0, 0, 1, 1, 1, 0, 1], [2, 3, 1, 1]), ([1, 1, 1, 1, 1, 1, 0], [0, 6, 1])]
)
def test_the_examples_of_coco(flat: list[int], counts: list[int]) -> None:
    """Both masks in the comment of MatlabAPI/MaskApi.m of github.com/cocodataset/cocoapi are read."""
    assert check_counts(counts, Size(7, 1), ENTRY, by_columns=True).decode().ravel().tolist() == [*map(bool, flat)]


def test_a_text_of_pycocotools() -> None:
    """The text that pycocotools 2.0.11 writes for a frame with a diagonal is read, down the columns."""
    mask = np.eye(6, 8, dtype=np.bool_)
    mask[[0, -1]] = True
    assert (parse_coco("0142OONO110OO1211O000O", Size(6, 8), ENTRY).decode() == mask).all()


def test_the_example_of_label_studio() -> None:
    """The values of `test_rle_encoding` in label-studio-converter, made four a pixel, in the bytes of its encoder."""
    values = [1, 1, 1, 1, 2, 3, 5, 6, 7, 8, 4, 0, 0, 0, 0, 0]
    written: list[object] = [0, 0, 0, 16, 57, 27, 252, 96, 32, 1, 0, 6, 0, 40, 0, 192, 3, 128, 16, 0, 36, 128, 0]
    assert parse_label_studio(written, Size(2, 2), ENTRY).decode().ravel().tolist() == [
        value > 0 for value in values[3::4]
    ]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([3, -1, 4], "the run length -1; expected a whole number from 0 to 6, the pixels of the mask"),
        ([3, 1.5], "the run length 1.5; expected a whole number from 0 to 6, the pixels of the mask"),
        ([10**12], "the run length 1000000000000; expected a whole number from 0 to 6, the pixels of the mask"),
        ([3, 4], "a mask whose runs add up to 7; expected 6 pixels: it is 2 pixels high and 3 wide"),
        ([], "a mask whose runs add up to 0; expected 6 pixels: it is 2 pixels high and 3 wide"),
    ],
)
def test_runs_must_be_the_mask(counts: list[object], told: str) -> None:
    """Runs that are no lengths, or not of this mask, are no mask."""
    with pytest.raises(UsageError) as error:
        check_counts(counts, Size(2, 3), ENTRY, by_columns=True)
    assert str(error.value) == f"annotation 3 of file:///a.json has {told}. {ENDS}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0é", "compressed run lengths with 'é'; expected numbers of at most 35 bits in 0 … o"),
        ("o" * 9, "compressed run lengths with 'o'; expected numbers of at most 35 bits in 0 … o"),
        ("3R", "compressed run lengths that end with '3R'; expected a whole number at the end"),
        ("OO", "the run length -1; expected a whole number from 0 to 6, the pixels of the mask"),
    ],
)
def test_damaged_compressed_runs(text: str, told: str) -> None:
    """Letters out of range, numbers without end, and lengths below 0 are refused."""
    with pytest.raises(UsageError) as error:
        parse_coco(text, Size(2, 3), ENTRY)
    assert str(error.value) == f"annotation 3 of file:///a.json has {told}. {ENDS}"


@given(cut=st.integers(0, 30))
def test_painted_masks_that_are_cut_off(cut: int) -> None:
    """Bits that end early are no mask, wherever they end."""
    whole = paint(np.eye(9, dtype=np.bool_))
    with pytest.raises(UsageError, match=r"a painted mask of the bytes \d+; expected more: its last block is cut off"):
        parse_label_studio(whole[:cut], Size(9, 9), ENTRY)


def test_a_painted_mask_of_another_photo() -> None:
    """The number of values is the number of pixels."""
    with pytest.raises(UsageError) as error:
        parse_label_studio(paint(np.eye(4, dtype=np.bool_)), Size(4, 5), ENTRY)
    told = "a painted mask of 64; expected 80 values, four a pixel: it is 4 pixels high and 5 wide"
    assert str(error.value) == f"annotation 3 of file:///a.json has {told}. {ENDS}"


@pytest.mark.parametrize("values", [[0, 256], [-1], ["a"], [None]])
def test_a_painted_mask_is_bytes(values: list[object]) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="expected bytes from 0 to 255"):
        parse_label_studio(values, Size(1, 1), ENTRY)
