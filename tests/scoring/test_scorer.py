"""The scorer, with an engine of computable answers: a tile's two scores are its mean brightness and mean red."""

import io
import math
import time
import weakref
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import DataError, UsageError
from pipeline.core.table_schemas import CRACK_FACTS, READ, SCORED
from pipeline.images.decode import Decoder, Photo, decode
from pipeline.images.tiles import TileSpec
from pipeline.models.batching import DOMAIN, TileMapper
from pipeline.models.card import PhotoCalibration
from pipeline.models.crack_maps import PhotoMapper, decode_map
from pipeline.models.photo_score import score_photo
from pipeline.scoring.inspection import PhotoInspector, Wanted
from pipeline.scoring.scorer import Decoders, PhotoScorer, ScoreRule
from tests.helpers.hostile_photos import BROKEN, SLIM, SOUND

SPEC = TileSpec(16, 0.0)


def brightness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score each tile by its mean brightness, and that of its red, in [0, 1]."""
    assert tiles.shape[1:] == (16, 16, 3)
    scores = np.stack([tiles.mean(axis=(1, 2, 3)), tiles[..., 0].mean(axis=(1, 2))], axis=1) / 255
    return scores.astype(np.float32)


def _encode_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _make_photos(data: Mapping[str, bytes | None], failure: dict[str, str] | None = None) -> pa.Table:
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


def _score(photos: pa.Table, batch_tiles: int = 4, threshold: float = 0.5) -> pa.Table:
    return PhotoScorer(lambda: brightness, ScoreRule(SPEC, threshold, batch_tiles=batch_tiles))(photos)


def _draw_noise(height_px: int, width_px: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    pixels[: height_px // 2] //= 4
    return _encode_png(pixels)


PHOTOS = {
    "a.png": _draw_noise(40, 70, 1),
    "b.png": _draw_noise(10, 12, 2),
    "c.png": _draw_noise(100, 16, 3),
    "d.png": _draw_noise(33, 33, 4),
}


NOT_COMPARED = ["scored_at", "log", "read_usage", "decode_usage", "score_usage", "map_usage"]


def _compared_rows(scored: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = scored.drop_columns(NOT_COMPARED).to_pylist()
    return rows


def test_a_photo_gets_the_score_of_its_worst_tile() -> None:
    """One white tile among five black ones: counts, boxes and scores are known."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[16:, 32:] = 255

    scored = _score(_make_photos({"a.png": _encode_png(pixels)}))

    assert scored.schema == SCORED
    (row,) = scored.to_pylist()
    assert (row["status"], row["tiles"], row["crack_tiles"], row["crack_score"]) == ("ok", 6, 1, 1.0)
    assert row["max_tile_score"] == 1.0
    assert (row["height_px"], row["width_px"], row["image_id"], row["size_bytes"]) == (32, 48, "id a.png", 7)
    assert row["scored_at"] is not None
    assert row["failure_kind"] is None
    assert row["grid"][5] == {
        "row": 1, "col": 2, "top_px": 16, "left_px": 32, "height_px": 16, "width_px": 16, "crack_score": 1.0,
    }  # fmt: skip
    assert [tile["crack_score"] for tile in row["grid"][:5]] == [0.0] * 5
    assert row["domain_score"] == 0.0


def test_a_calibrated_photo_has_a_score_of_its_own() -> None:
    """Of its grid of two rows, as `score_photo` computes it; the highest tile score stands beside it."""
    calibration = PhotoCalibration(0.5, -0.25, -1.0)
    data = _make_photos({"a.png": _draw_noise(32, 48, 5)})
    (row,) = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5, photo=calibration))(data).to_pylist()
    tiles = np.array([tile["crack_score"] for tile in row["grid"]], np.float32)
    assert row["crack_score"] == pytest.approx(score_photo(tiles, 2, calibration))
    assert row["max_tile_score"] == tiles.max()


@pytest.mark.parametrize(("red", "score"), [((3, 1, 2), 2), ((9, 1, 2, 3), 2), ((5,), 5), ((1, 7, 7, 7, 1), 7)])
def test_the_domain_score_is_that_of_the_middle_tile(red: tuple[int, ...], score: int) -> None:
    """For an even number the lower of the middle two: up to half of a photo may be sky."""
    pixels = np.zeros((16, 16 * len(red), 3), np.uint8)
    pixels[..., 0] = np.repeat(red, 16)

    assert _score(_make_photos({"a.png": _encode_png(pixels)}))["domain_score"].to_pylist() == [np.float32(score / 255)]


def test_a_model_without_domain_scores_gives_null() -> None:
    """NaN of the engine is null in the table, neither a high nor a low score."""

    def without_domain(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores = brightness(tiles)
        scores[:, DOMAIN] = np.nan
        return scores

    scored = PhotoScorer(lambda: without_domain, ScoreRule(SPEC, 0.5))(_make_photos(PHOTOS))

    assert scored["domain_score"].null_count == len(PHOTOS)
    assert scored["crack_score"].to_pylist() == _score(_make_photos(PHOTOS))["crack_score"].to_pylist()


@pytest.mark.parametrize(("threshold", "crack_tiles"), [(0.2, 1), (51 / 255, 1), (0.21, 0), (0.0, 1)])
def test_a_tile_at_the_threshold_counts(threshold: float, crack_tiles: int) -> None:
    """At or over, compared in the precision of the scores, as a reader of the Parquet files compares."""
    photo = {"a.png": _encode_png(np.full((16, 16, 3), 51, np.uint8))}

    assert _score(_make_photos(photo), threshold=threshold)["crack_tiles"].to_pylist() == [crack_tiles]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 64))
def test_scores_do_not_depend_on_the_batch_size(batch_tiles: int) -> None:
    """Tiles of several photos share batches, and each score goes to its photo."""
    assert _compared_rows(_score(_make_photos(PHOTOS), batch_tiles)) == _compared_rows(_score(_make_photos(PHOTOS), 1))


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, 3)))
def test_scores_do_not_depend_on_the_tables(cuts: set[int]) -> None:
    """A photo gets the same row, however photos are grouped."""
    whole = _make_photos(PHOTOS)
    edges = [0, *sorted(cuts), 4]

    parts = [_score(whole.slice(first, end - first)) for first, end in pairwise(edges)]

    assert _compared_rows(pa.concat_tables(parts)) == _compared_rows(_score(whole))


def test_a_failed_photo_does_not_affect_its_neighbours() -> None:
    """Its row has the reason and no measures; the others have the scores that they have without it."""
    scored = _score(_make_photos(PHOTOS | {"bad.jpg": b"no photo"}))

    *neighbours, failed = _compared_rows(scored)
    assert neighbours == _compared_rows(_score(_make_photos(PHOTOS)))
    assert (failed["status"], failed["failure_stage"], failed["failure_kind"]) == ("failed", "decode", "not_an_image")
    measures = {"width_px", "height_px", "captured_at", "latitude", "longitude", "altitude_m", "camera", "tiles",
                "focal_length_mm", "crack_tiles", "crack_score", "max_tile_score", "domain_score", "grid",
                "crack_map", "ended", "lines", *CRACK_FACTS}  # fmt: skip
    assert {name for name, value in failed.items() if value is None} == measures
    assert failed["size_bytes"] == 7


def test_an_unreadable_photo_keeps_its_reason() -> None:
    """The failure of reading passes unchanged."""
    reason = {"failure_stage": "read", "failure_kind": "member_unreadable", "failure_message": "Bad CRC."}

    (row,) = _score(_make_photos({"a.jpg": None}, reason)).to_pylist()

    assert {name: row[name] for name in reason} == reason
    assert row["status"] == "failed"


def test_formats_that_are_not_decoded_fail_by_name_whatever_they_are_called() -> None:
    """Users see them as photos, so they must not vanish; a JPEG is scored even if it is called otherwise."""
    rows = _score(_make_photos({"a.jpg": b"8BPS", "b.psd": PHOTOS["a.png"]})).to_pylist()

    assert [row["failure_kind"] for row in rows] == ["unsupported_format", None]
    assert rows[0]["failure_message"] == (
        "The photo is a file of the format Photoshop, which is not decoded. Convert it to JPEG, PNG or TIFF."
    )


def test_too_large_a_photo_is_not_decoded() -> None:
    """The limit of the rule holds."""
    scorer = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5, max_pixels=100))

    assert scorer(_make_photos({"a.png": PHOTOS["a.png"]}))["failure_kind"].to_pylist() == ["too_many_pixels"]


def test_the_scorer_chooses_its_decoder_once() -> None:
    """In its own process; failures of the decoder are rows like any other."""
    chosen = []

    def careful(data: bytes, max_pixels: int) -> Photo:
        if data == b"crash":
            raise DataError("decode", "decoder_crashed", "The decoder ended.")
        return decode(data, max_pixels)

    def choose() -> Decoders:
        chosen.append(careful)
        return Decoders(careful)

    scorer = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5), choose)
    scored = [scorer(_make_photos({"a.png": PHOTOS["a.png"], "b.jpg": b"crash"})) for _ in range(2)]

    assert chosen == [careful]
    assert [table["failure_kind"].to_pylist() for table in scored] == [[None, "decoder_crashed"]] * 2


def test_a_photo_is_freed_before_the_next_is_decoded() -> None:
    """Scored or failed: a block of small files may hold many large photos."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []

    def track(data: bytes, max_pixels: int) -> Photo:
        assert [ref() for ref in alive] == [None] * len(alive)
        photo = decode(data, max_pixels)
        alive.append(weakref.ref(photo.pixels))
        if len(alive) % 2:
            raise DataError("decode", "truncated_image", "Cut short.")
        return photo

    scored = PhotoScorer(lambda: brightness, ScoreRule(SPEC, 0.5), lambda: Decoders(track))(_make_photos(PHOTOS))

    assert scored["status"].to_pylist() == ["failed", "ok", "failed", "ok"]


def test_the_end_of_a_stream_passes() -> None:
    """It has no photo and no score; the photos around it keep their scores, and all rows their order."""
    end = pa.Table.from_pylist([{"archive": "file:///a.tgz", "ended": b"what it held"}], schema=READ)
    photos = _make_photos(PHOTOS)

    first, passed, *others = _compared_rows(_score(pa.concat_tables([photos.slice(0, 1), end, photos.slice(1)])))

    assert [first, *others] == _compared_rows(_score(photos))
    assert {name: value for name, value in passed.items() if value is not None} == {
        "archive": "file:///a.tgz",
        "ended": b"what it held",
    }


def test_hostile_photos_are_one_row_each() -> None:
    """Sound ones get scores, broken ones fail with their kind, and none affects its neighbours."""
    files = SOUND | SLIM | {name: data for name, (data, _) in BROKEN.items()}

    rows = {row["image"]: row for row in _score(_make_photos(files | PHOTOS)).to_pylist()}

    assert [*rows] == [*files, *PHOTOS]
    assert {name: row["failure_kind"] for name, row in rows.items() if row["status"] == "failed"} == {
        name: kind for name, (_, kind) in BROKEN.items()
    }
    assert [rows[name]["crack_score"] for name in PHOTOS] == _score(_make_photos(PHOTOS))["crack_score"].to_pylist()


@pytest.mark.parametrize("name", SLIM)
def test_tiles_cover_the_slimmest_make_photos(name: str) -> None:
    """From the first pixel to the last, even if one side is shorter than a tile."""
    (row,) = _score(_make_photos({name: SLIM[name]})).to_pylist()

    covered = np.zeros((row["height_px"], row["width_px"]), bool)
    for tile in row["grid"]:
        top_px, left_px = tile["top_px"], tile["left_px"]
        covered[top_px : top_px + tile["height_px"], left_px : left_px + tile["width_px"]] = True

    assert f"{row['height_px']}x{row['width_px']}.png" == name
    assert covered.all()
    assert row["crack_score"] == 0


def test_an_empty_table_stays_empty() -> None:
    """Ray Data sometimes passes empty tables."""
    assert _score(READ.empty_table()).equals(SCORED.empty_table())


def _map_redness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map tiles, shape (N, 16, 16, 3) → (N, 16, 16)."""
    maps: NDArray[np.float32] = (tiles[..., 0] / 255).astype(np.float32)
    return maps


def _make_mapping_scorer(threshold: float, make_decoder: Callable[[], Decoder] = lambda: decode) -> PhotoScorer:
    rule = ScoreRule(SPEC, threshold, batch_tiles=4)
    return PhotoScorer(
        lambda: brightness, rule, lambda: Decoders(make_decoder()), lambda _: _make_drawer(_map_redness, threshold)
    )


def _make_drawer(map_tiles: TileMapper, threshold: float) -> PhotoInspector:
    return PhotoInspector(PhotoMapper(map_tiles, SPEC.tile_px, "model00"), threshold, Wanted(maps=True))


def test_only_photos_with_a_tile_at_the_threshold_get_a_map() -> None:
    """Photos below it and failed ones get none, and no measure changes."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[4, 20:] = 255
    files = PHOTOS | {"line.png": _encode_png(pixels), "bad.jpg": b"no photo"}
    plain = _compared_rows(_score(_make_photos(files), threshold=0.04))

    mapped = _compared_rows(_make_mapping_scorer(0.04)(_make_photos(files)))

    assert {row["image"] for row in mapped if row["crack_map"]} == {row["image"] for row in plain if row["crack_tiles"]}
    assert [row | {"crack_map": None} for row in mapped] == plain
    line = next(row for row in mapped if row["image"] == "line.png")
    assert isinstance(line["crack_map"], bytes)
    grey, scale = decode_map(line["crack_map"])
    assert (scale, grey.shape) == (1, (16, 32))
    assert not grey.any()  # the score of its tile is too low to show


def test_a_map_shows_the_place_of_a_crack() -> None:
    """As bright as the score of its tile."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, 16:] = 255

    [png] = _make_mapping_scorer(0.5)(_make_photos({"a.png": _encode_png(pixels)}))["crack_map"].to_pylist()

    assert (decode_map(png)[0] == pixels[..., 0] // 255 * 128).all()


def test_a_large_photo_that_cannot_be_decoded_for_its_map_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole row fails: a photo over the threshold has a map, or has failed."""
    monkeypatch.setattr("pipeline.scoring.scorer.KEPT_PIXELS", 0)
    decoded = []

    def decode_once(data: bytes, max_pixels: int) -> Photo:
        decoded.append(data)
        if decoded.count(data) > 1:
            raise DataError("decode", "too_large", "Memory is short.")
        return decode(data, max_pixels)

    (row,) = _make_mapping_scorer(0.0, lambda: decode_once)(_make_photos({"a.png": PHOTOS["a.png"]})).to_pylist()

    assert (row["status"], row["failure_kind"], row["crack_score"], row["crack_map"]) == (
        "failed", "too_large", None, None,
    )  # fmt: skip


def test_drawing_a_map_is_a_step_of_its_own() -> None:
    """A photo without a map has no time of it."""

    def map_slowly(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.05)
        return _map_redness(tiles)

    rule = ScoreRule(SPEC, 0.5, batch_tiles=4)
    scorer = PhotoScorer(lambda: brightness, rule, make_inspector=lambda _: _make_drawer(map_slowly, 0.5))
    files = {name: _encode_png(np.full((16, 16, 3), grey, np.uint8)) for name, grey in (("dark", 0), ("light", 255))}

    dark, light = scorer(_make_photos(files)).to_pylist()

    assert (dark["crack_map"], dark["map_usage"]["wall_s"]) == (None, 0)
    assert light["crack_map"] is not None
    assert light["map_usage"]["wall_s"] >= 0.05


def test_a_scorer_is_warm_before_its_first_photo() -> None:
    """Engines compile for the shape of their first batch, which has the shape of all others."""
    shapes = []

    def engine(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        shapes.append(tiles.shape)
        return brightness(tiles)

    scorer = PhotoScorer(lambda: engine, ScoreRule(SPEC, 0.5, batch_tiles=4))
    assert shapes == [(4, SPEC.tile_px, SPEC.tile_px, 3)]
    scorer(_make_photos({"a.png": PHOTOS["a.png"]}))
    assert {*shapes} == {(4, SPEC.tile_px, SPEC.tile_px, 3)}


@pytest.mark.parametrize("wrong", [{"batch_tiles": 0}, {"max_pixels": 0}])
def test_a_rule_checks_its_limits(wrong: dict[str, Any]) -> None:
    """Before a run starts."""
    with pytest.raises(UsageError, match=r"^--batch-tiles and --max-pixels must be at least 1\.$"):
        ScoreRule(SPEC, 0.5, **wrong)


def test_each_photo_carries_its_usage() -> None:
    """Its own decoding, and a share of the scoring by its tiles; the share of a GPU is reserved all the time."""

    def score_slowly(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.02)
        return brightness(tiles)

    def decode_slowly(data: bytes, max_pixels: int) -> Photo:
        time.sleep(0.03)
        return decode(data, max_pixels)

    files = {"a.png": PHOTOS["a.png"], "c.png": PHOTOS["c.png"], "bad.jpg": b"no photo"}
    scorer = PhotoScorer(
        lambda: score_slowly, ScoreRule(SPEC, 0.5, batch_tiles=4), lambda: Decoders(decode_slowly), gpus=0.25
    )
    rows = scorer(_make_photos(files)).to_pylist()
    tiles = [row["tiles"] or 0 for row in rows]
    scoring = [row["score_usage"] for row in rows]
    assert all(0.03 <= row["decode_usage"]["wall_s"] < 1 for row in rows)
    scoring_s = sum(usage["wall_s"] for usage in scoring)
    assert 0.02 * math.ceil(sum(tiles) / 4) <= scoring_s
    assert [usage["wall_s"] for usage in scoring] == pytest.approx([n / sum(tiles) * scoring_s for n in tiles])
    held_s = 0.25 * (scoring_s + sum(row["decode_usage"]["wall_s"] for row in rows))
    assert [usage["gpu_s"] for usage in scoring] == pytest.approx([n / sum(tiles) * held_s for n in tiles])
    assert all(usage["peak_bytes"] > 10 << 20 for usage in scoring)
