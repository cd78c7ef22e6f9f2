"""The tile scorer, with an engine that anybody can check: a tile's score is its mean brightness."""

import io
import weakref
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hostile_photos import BROKEN, SLIM, SOUND
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.decode import Decoder, Photo, decode
from pipeline.errors import DataError, UsageError
from pipeline.schema import READ, SCORED
from pipeline.scoring import PhotoScorer, ScoreRule
from pipeline.tiles import TileSpec

SPEC = TileSpec(16, 0.0)


def brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score each tile by its mean brightness, in [0, 1]."""
    assert tiles.shape[1:] == (16, 16, 3)
    scores: NDArray[np.float32] = (tiles.mean(axis=(1, 2, 3)) / 255).astype(np.float32)
    return scores


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _photos(data: Mapping[str, bytes | None], failure: dict[str, str] | None = None) -> pa.Table:
    rows = [
        {
            "image_id": f"id {name}",
            "archive": "file:///a",
            "image": name,
            "occurrence": 0,
            "size_bytes": 7,
            "data": bytes_,
        }
        | ((failure or {}) if bytes_ is None else {})
        for name, bytes_ in data.items()
    ]
    return pa.Table.from_pylist(rows, schema=READ)


def _scored(photos: pa.Table, batch_tiles: int = 4, threshold: float = 0.5) -> pa.Table:
    return PhotoScorer(lambda: brightness, ScoreRule(SPEC, threshold, batch_tiles=batch_tiles))(photos)


def _noise(height_px: int, width_px: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    pixels[: height_px // 2] //= 4
    return _png(pixels)


PHOTOS = {
    "a.png": _noise(40, 70, 1),
    "b.png": _noise(10, 12, 2),
    "c.png": _noise(100, 16, 3),
    "d.png": _noise(33, 33, 4),
}


def _measures(scored: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = scored.drop_columns(["scored_at"]).to_pylist()
    return rows


def test_a_photo_gets_the_score_of_its_worst_tile() -> None:
    """Counts, boxes and scores can be worked out by hand: one white tile among five black ones."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[16:, 32:] = 255

    scored = _scored(_photos({"a.png": _png(pixels)}))

    assert scored.schema == SCORED
    (row,) = scored.to_pylist()
    assert (row["status"], row["tiles"], row["crack_tiles"], row["crack_score"]) == ("ok", 6, 1, 1.0)
    assert (row["height_px"], row["width_px"], row["image_id"], row["size_bytes"]) == (32, 48, "id a.png", 7)
    assert row["scored_at"] is not None
    assert row["failure_kind"] is None
    assert row["grid"][5] == {
        "row": 1, "col": 2, "top_px": 16, "left_px": 32, "height_px": 16, "width_px": 16, "crack_score": 1.0,
    }  # fmt: skip
    assert [tile["crack_score"] for tile in row["grid"][:5]] == [0.0] * 5


@pytest.mark.parametrize(("threshold", "crack_tiles"), [(0.2, 1), (51 / 255, 1), (0.21, 0), (0.0, 1)])
def test_a_tile_at_the_threshold_counts(threshold: float, crack_tiles: int) -> None:
    """At or over; the comparison is made in the precision of the scores, as a reader of the Parquet makes it."""
    photo = {"a.png": _png(np.full((16, 16, 3), 51, np.uint8))}

    assert _scored(_photos(photo), threshold=threshold)["crack_tiles"].to_pylist() == [crack_tiles]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 64))
def test_scores_do_not_depend_on_the_batch_size(batch_tiles: int) -> None:
    """Tiles of several photos share batches, and each finds its way home."""
    assert _measures(_scored(_photos(PHOTOS), batch_tiles)) == _measures(_scored(_photos(PHOTOS), 1))


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, 3)))
def test_scores_do_not_depend_on_the_tables(cuts: set[int]) -> None:
    """However photos are grouped, each gets the same row."""
    whole = _photos(PHOTOS)
    edges = [0, *sorted(cuts), 4]

    parts = [_scored(whole.slice(first, end - first)) for first, end in pairwise(edges)]

    assert _measures(pa.concat_tables(parts)) == _measures(_scored(whole))


def test_a_photo_that_fails_leaves_its_neighbours() -> None:
    """It is a row with the reason and no measures; the others score as they do without it."""
    scored = _scored(_photos(PHOTOS | {"bad.jpg": b"no photo"}))

    *neighbours, failed = _measures(scored)
    assert neighbours == _measures(_scored(_photos(PHOTOS)))
    assert (failed["status"], failed["failure_stage"], failed["failure_kind"]) == ("failed", "decode", "not_an_image")
    measures = {"width_px", "height_px", "captured_at", "latitude", "longitude", "altitude_m", "camera", "tiles",
                "focal_length_mm", "crack_tiles", "crack_score", "domain_score", "grid", "ended"}  # fmt: skip
    assert {name for name, value in failed.items() if value is None} == measures
    assert failed["size_bytes"] == 7


def test_a_photo_that_could_not_be_read_keeps_its_reason() -> None:
    """What went wrong while its archive was read comes through as it is."""
    reason = {"failure_stage": "read", "failure_kind": "member_unreadable", "failure_message": "Bad CRC."}

    (row,) = _scored(_photos({"a.jpg": None}, reason)).to_pylist()

    assert {name: row[name] for name in reason} == reason
    assert row["status"] == "failed"


@pytest.mark.parametrize("name", ["a.heic", "b.HEIF", "c.dng", "d.Svg"])
def test_formats_that_nobody_decodes_are_named(name: str) -> None:
    """They are photos to people, so that they must not vanish."""
    (row,) = _scored(_photos({name: b"data"})).to_pylist()

    assert row["failure_kind"] == "unsupported_format"
    assert row["failure_message"] == f"Photos of the kind .{name[2:].lower()} cannot be decoded here."


def test_too_large_a_photo_is_not_decoded() -> None:
    """The rule's limit holds."""
    scorer = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5, max_pixels=100))

    assert scorer(_photos({"a.png": PHOTOS["a.png"]}))["failure_kind"].to_pylist() == ["too_many_pixels"]


def test_the_decoder_is_chosen_where_the_scorer_is_made() -> None:
    """Once, in its process; its failures are rows like any other."""
    chosen = []

    def careful(data: bytes, max_pixels: int) -> Photo:
        if data == b"crash":
            raise DataError("decode", "decoder_crashed", "The decoder ended.")
        return decode(data, max_pixels)

    def choose() -> Decoder:
        chosen.append(careful)
        return careful

    scorer = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5), choose)
    scored = [scorer(_photos({"a.png": PHOTOS["a.png"], "b.jpg": b"crash"})) for _ in range(2)]

    assert chosen == [careful]
    assert [table["failure_kind"].to_pylist() for table in scored] == [[None, "decoder_crashed"]] * 2


def test_a_photo_is_gone_before_the_next_is_decoded() -> None:
    """Whether it was scored or failed: a block of small files may hold many large photos."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []

    def noted(data: bytes, max_pixels: int) -> Photo:
        assert [ref() for ref in alive] == [None] * len(alive)
        photo = decode(data, max_pixels)
        alive.append(weakref.ref(photo.pixels))
        if len(alive) % 2:
            raise DataError("decode", "truncated_image", "Cut short.")
        return photo

    scored = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5), lambda: noted)(_photos(PHOTOS))

    assert scored["status"].to_pylist() == ["failed", "ok", "failed", "ok"]


def test_the_end_of_an_archive_passes() -> None:
    """It has no photo and gets no score; the photos around it keep theirs, and all keep their order."""
    end = pa.Table.from_pylist([{"archive": "file:///a.tgz", "ended": b"what it held"}], schema=READ)
    photos = _photos(PHOTOS)

    first, passed, *others = _measures(_scored(pa.concat_tables([photos.slice(0, 1), end, photos.slice(1)])))

    assert [first, *others] == _measures(_scored(photos))
    assert {name: value for name, value in passed.items() if value is not None} == {
        "archive": "file:///a.tgz",
        "ended": b"what it held",
    }


def test_hostile_photos_are_one_row_each() -> None:
    """Sound ones are scored, broken ones fail with their kind, and none touches its neighbours."""
    files = SOUND | SLIM | {name: data for name, (data, _) in BROKEN.items()}

    rows = {row["image"]: row for row in _scored(_photos(files | PHOTOS)).to_pylist()}

    assert [*rows] == [*files, *PHOTOS]
    assert {name: row["failure_kind"] for name, row in rows.items() if row["status"] == "failed"} == {
        name: kind for name, (_, kind) in BROKEN.items()
    }
    assert [rows[name]["crack_score"] for name in PHOTOS] == _scored(_photos(PHOTOS))["crack_score"].to_pylist()


@pytest.mark.parametrize("name", SLIM)
def test_tiles_cover_the_slimmest_photos(name: str) -> None:
    """From the first pixel to the last, though no side is as long as a tile."""
    (row,) = _scored(_photos({name: SLIM[name]})).to_pylist()

    covered = np.zeros((row["height_px"], row["width_px"]), bool)
    for tile in row["grid"]:
        top_px, left_px = tile["top_px"], tile["left_px"]
        covered[top_px : top_px + tile["height_px"], left_px : left_px + tile["width_px"]] = True

    assert f"{row['height_px']}x{row['width_px']}.png" == name
    assert covered.all()
    assert row["crack_score"] == 0


def test_no_photos_are_an_empty_table() -> None:
    """Ray Data hands over empty tables now and then."""
    assert _scored(READ.empty_table()).equals(SCORED.empty_table())


@pytest.mark.parametrize("wrong", [{"batch_tiles": 0}, {"max_pixels": 0}])
def test_a_wrong_rule_is_refused(wrong: dict[str, int]) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError, match=r"^--batch-tiles and --max-pixels must be at least 1\.$"):
        ScoreRule(SPEC, 0.5, **wrong)
