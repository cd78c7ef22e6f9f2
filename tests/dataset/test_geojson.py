"""Photos on a map: what stands in the file, and that it is GeoJSON."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.export import ExportConfig, export
from pipeline.dataset.layout import Layout
from tests.helpers.small_dataset import BEGAN_AT, ok, written
from tests.helpers.two_inspections import inspected, photos


def collection(layout: Layout, path: Path, threshold: float | None = None) -> dict[str, Any]:
    """The file, parsed as strictly as JSON is meant: no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    made = export(ExportConfig(layout.url, "geojson", str(path), threshold=threshold))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert made.rows["images"] == len(found["features"])
    return found


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Two bridges in two months."""
    return inspected(tmp_path_factory.mktemp("inspected"))


def test_each_positioned_photo_is_a_point(layout: Layout, tmp_path: Path) -> None:
    """Longitude first, as RFC 7946 says, and the scores as they are; photos without a position are left out."""
    positioned = [row for row in photos() if row.get("latitude") is not None]
    found = collection(layout, tmp_path / "file")
    assert found["type"] == "FeatureCollection"
    by_id = {feature["id"]: feature for feature in found["features"]}
    assert by_id.keys() == {row["image_id"] for row in positioned}
    for row in positioned:
        feature = by_id[row["image_id"]]
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Point"
        assert feature["geometry"]["coordinates"] == [round(row[name], 7) for name in ("longitude", "latitude")]
        named = ("archive", "image", "crack_score", "domain_score", "crack_tiles", "tiles", "altitude_m", "camera")
        assert {name: feature["properties"][name] for name in named} == {name: row[name] for name in named}
        assert feature["properties"]["captured_at"] == row["captured_at"].isoformat()


def test_the_file_follows_rfc_7946(layout: Layout, tmp_path: Path) -> None:
    """No `crs`, no byte order mark, degrees in range, two coordinates, and an id of its own for each point."""
    found = collection(layout, tmp_path / "file")
    text = (tmp_path / "file").read_bytes()
    assert text.startswith(b'{"type": "FeatureCollection"')
    assert not {"crs", "geometry", "properties"} & found.keys()  # section 7.1 forbids the latter two
    for feature in found["features"]:
        assert feature.keys() == {"type", "id", "geometry", "properties"}
        longitude, latitude = feature["geometry"]["coordinates"]
        assert -180 <= longitude <= 180
        assert -90 <= latitude <= 90
    assert len({feature["id"] for feature in found["features"]}) == len(found["features"])


def test_the_points_are_sorted_by_archive_and_image(layout: Layout, tmp_path: Path) -> None:
    """The same dataset gives the same file."""
    first, again = (collection(layout, tmp_path / name) for name in ("first", "again"))
    places = [(each["properties"]["archive"], each["properties"]["image"]) for each in first["features"]]
    assert places == sorted(places)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert first == again


def test_a_threshold_moves_the_counts(layout: Layout, tmp_path: Path) -> None:
    """`crack_tiles` is counted at it, and scores stay."""
    low, high = (collection(layout, tmp_path / "file", threshold)["features"] for threshold in (0.0, 1.0))
    assert all(each["properties"]["crack_tiles"] == each["properties"]["tiles"] for each in low)
    assert all(each["properties"]["crack_tiles"] == 0 for each in high)
    assert [each["properties"]["crack_score"] for each in low] == [each["properties"]["crack_score"] for each in high]


def test_names_from_the_field_stay_what_they_are(tmp_path: Path) -> None:
    """Quotes, line ends and letters of any script; a photo without time or camera; scores as people write them."""
    name = 'Brücke "7"\n橋/\\x.jpg'
    photo = ok(name) | {"latitude": -0.0, "longitude": -math.pi, "crack_score": 0.7, "scored_at": BEGAN_AT}
    [feature] = collection(written(str(tmp_path / "out"), [[photo]]), tmp_path / "file")["features"]
    assert feature["properties"]["image"] == name
    assert feature["properties"]["captured_at"] is None
    assert feature["properties"]["crack_score"] == 0.7
    assert feature["geometry"]["coordinates"] == [-3.1415927, 0]


def test_a_dataset_without_positions_is_an_empty_map(tmp_path: Path) -> None:
    """It is a sound file all the same."""
    assert collection(written(str(tmp_path / "out")), tmp_path / "file")["features"] == []
