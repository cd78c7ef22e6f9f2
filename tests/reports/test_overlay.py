"""Photos with their heat as files: names of photos, pixels, and errors."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.reports.overlay import Overlay, OverlayConfig, write_overlays
from pipeline.reports.width_classes import MM_CLASSES, PX_CLASSES
from tests.helpers.scored_photos import photo, score_archives, zip_photos

PHOTOS = {
    "span-1/a.png": photo(250),
    "span-2/a.png": photo(51),
    "span-2/b#?é.png": photo(20),
    "a.png": photo(30),
    "broken.png": b"no",
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Five photos; three have the same name in different folders."""
    folder = tmp_path_factory.mktemp("overlay")
    return score_archives(folder / "out", zip_photos(folder / "one.zip", PHOTOS))


def drawn(layout: Layout, to: Path, *names: str) -> list[Overlay]:
    """Overlays of these photos."""
    return list(write_overlays(OverlayConfig(layout.url, names, str(to))))


def test_the_cracked_tile_is_coloured_and_the_others_are_as_they_were(layout: Layout, tmp_path: Path) -> None:
    """In the photo's own size, with the scale below."""
    [overlay] = drawn(layout, tmp_path, "span-1/a.png")
    assert overlay.image == "span-1/a.png"
    assert overlay.crack_score == pytest.approx(250 / 255)
    pixels = np.asarray(Image.open(io.BytesIO(storage.read_bytes(str(overlay.url)))).convert("RGB"))
    assert pixels.shape[0] > 100
    assert pixels.shape[1] == 150
    assert (pixels[:50] == 0).all()
    red, green, blue = pixels[75, 125].tolist()
    assert red > 200
    assert max(green, blue) < 180


def test_a_photo_is_found_by_path_end_of_path_and_id(layout: Layout, tmp_path: Path) -> None:
    """A whole path wins over the end of another; a photo with two names in one call is drawn once."""
    assert [one.image for one in drawn(layout, tmp_path, "a.png")] == ["a.png"]
    [odd] = drawn(layout, tmp_path, "b#?é.png")
    assert odd.url is not None
    image_id = odd.url.rpartition("-")[2].removesuffix(".png")
    assert odd.url == f"file://{tmp_path}/b__é-{image_id}.png"
    again = drawn(layout, tmp_path, image_id, "span-2/b#?é.png", "span-2/a.png")
    assert sorted(one.image for one in again) == ["span-2/a.png", "span-2/b#?é.png"]


def test_a_name_that_means_no_one_photo_is_refused(layout: Layout, tmp_path: Path) -> None:
    """No photo is drawn, not even one with a good name."""
    with pytest.raises(UsageError) as unknown:
        drawn(layout, tmp_path / "none", "a.png", "c.png")
    assert str(unknown.value) == (
        f"No photo of {layout.url} is called c.png; expected its path in its archive, the end of that path, or its "
        "image_id. The table of `crackscan report` lists them all."
    )
    with pytest.raises(UsageError, match=r"broken.png was not scored: No photo in 2 bytes .* Choose another photo."):
        drawn(layout, tmp_path / "none", "broken.png")
    assert not (tmp_path / "none").exists()


def test_a_name_of_several_photos_is_refused_with_their_ids(tmp_path: Path) -> None:
    """So users can choose one."""
    archive = zip_photos(tmp_path / "one.zip", {"x/a.png": photo(1), "y/a.png": photo(2)})
    layout = score_archives(tmp_path / "out", archive)
    with pytest.raises(UsageError, match=r"^a.png may be any of 2 photos: [0-9a-f]{16} \(file://.*one.zip x/a.png\), "):
        drawn(layout, tmp_path, "a.png")


def test_a_photo_that_cannot_be_read_any_more_has_a_reason(tmp_path: Path) -> None:
    """The others are drawn."""
    one, two = (zip_photos(tmp_path / f"{name}.zip", {f"{name}.png": photo(9)}) for name in ("one", "two"))
    layout = score_archives(tmp_path / "out", one, two)
    with zipfile.ZipFile(one, "a") as changed:
        changed.writestr("more.png", b"")
    first, second = drawn(layout, tmp_path, "one.png", "two.png")
    assert (first.image, first.url) == ("one.png", None)
    assert "was replaced" in first.why
    assert second.url is not None


def test_a_dataset_is_no_place_for_pictures(layout: Layout) -> None:
    """Every file in a dataset has its meaning."""
    with pytest.raises(UsageError, match="lies in the dataset"):
        list(write_overlays(OverlayConfig(layout.url, ["a.png"], f"{layout.url}/maps")))


def test_cracks_are_lines_in_the_colour_of_their_width(tmp_path: Path) -> None:
    """Thin, in the photo's own size, with a legend and, where there is a scale, a bar; the heat has another file."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(200), "b.png": photo(200)})
    layout = score_archives(tmp_path / "out", archive, cracks={"a.png": 1, "b.png": 1}, mm_per_px={"a.png": 1.0})
    config = OverlayConfig(layout.url, ["a.png", "b.png"], str(tmp_path), cracks=True)
    scaled, other = write_overlays(config)
    assert (scaled.measures, other.measures) == (
        "1 crack, 0.02 m, the widest 1.50 mm (scale given by you)", "1 crack, 20 px, the widest 1.5 px",
    )  # fmt: skip
    pictures = [_read(overlay) for overlay in (scaled, other)]
    for picture, colour in zip(pictures, (MM_CLASSES[-1].colour, PX_CLASSES[0].colour), strict=True):
        in_colour = (picture == list(bytes.fromhex(colour[1:]))).all(axis=2)
        assert in_colour[3:9, 0:21].any(axis=0).all()
        assert in_colour[:100].sum() <= 30
        assert in_colour[100:].any()
        assert (picture[50:100, 100:] == 200).all()
    [without] = write_overlays(OverlayConfig(layout.url, ["a.png"], str(tmp_path)))
    assert str(scaled.url) == str(without.url).replace(".png", "-cracks.png")
    black = [(picture[100:] == 0).all(axis=2).sum(axis=1).max() for picture in pictures]
    assert black[0] >= 20 > black[1]  # the bar of 20 mm


def test_cracks_that_were_not_measured_are_not_drawn(layout: Layout, tmp_path: Path) -> None:
    """The message says why and what to do."""
    with pytest.raises(UsageError, match=r"has no measured cracks: .* Leave --cracks out\.$"):
        list(write_overlays(OverlayConfig(layout.url, ["a.png"], str(tmp_path), cracks=True)))


def _read(overlay: Overlay) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(storage.read_bytes(str(overlay.url)))).convert("RGB"))


@pytest.mark.parametrize("cracks", [False, True])
def test_a_crop_shows_no_photo_as_a_whole(cracks: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """At most half of its height and width, around the crack or the worst tile; the legend stands below."""
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(250)}), cracks={"a.png": 1}
    )
    config = OverlayConfig(layout.url, ["a.png"], str(tmp_path / "drawn"), cracks=cracks, crop_only=True)
    [overlay] = write_overlays(config)
    assert overlay.url is not None
    assert overlay.url.endswith(f"{'-cracks' if cracks else ''}-crop.png")
    pixels = np.asarray(Image.open(io.BytesIO(storage.read_bytes(overlay.url))).convert("RGB"))
    assert pixels.shape[1] == 50
    assert 50 < pixels.shape[0] < 150
    is_black = (pixels[:50] == 0).all(axis=2)
    assert is_black.mean() > 0.5 if cracks else not is_black.any()  # the crack lies in the dark, the tile is bright
