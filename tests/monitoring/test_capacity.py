"""The capacity formulas keep their limits, and the table in docs/capacity.md follows from them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring.capacity import (
    Machine,
    Photo,
    bytes_per_s,
    cpus_per_gpu,
    dollars_per_1000,
    photos_per_s,
    seconds_left,
)  # fmt: skip
from tests import ROOT

POSITIVE = st.floats(1e-3, 1e6)
photos = st.builds(Photo, POSITIVE, POSITIVE, POSITIVE)
DOCUMENT = ROOT / "docs" / "capacity.md"


@given(photos, st.floats(1, 1e4), POSITIVE)
def test_twice_the_cpus_are_twice_as_fast(photo: Photo, cpus: float, rate: float) -> None:
    """CPUs share nothing, and no photo is faster than its decoding or its scoring alone."""
    found = photos_per_s(Machine(cpus, rate), photo)
    assert photos_per_s(Machine(2 * cpus, rate), photo) == pytest.approx(2 * found)
    assert found <= cpus / photo.decode_s
    assert found <= cpus * rate / photo.tiles


@given(photos, POSITIVE)
def test_a_gpu_with_enough_cpus_never_waits(photo: Photo, gpu: float) -> None:
    """With half of them it waits half of the time."""
    enough = cpus_per_gpu(gpu, photo)
    assert photos_per_s(Machine(enough * 1.001, 1.0, gpu), photo) == pytest.approx(gpu / photo.tiles)
    assert photos_per_s(Machine(enough / 2, 1.0, gpu), photo) == pytest.approx(gpu / photo.tiles / 2)


def test_bytes_and_dollars() -> None:
    """A photo per second is 3,600 photos for the price of an hour, and two per second read twice a photo's bytes."""
    assert dollars_per_1000(1.0, 3.6) == pytest.approx(1.0)
    assert bytes_per_s(2.0, Photo(1, 3e6, 1)) == 6e6


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(0, 1000), POSITIVE)
def test_the_rest_goes_at_the_pace_so_far(before: int, since: int, left: int, seconds: float) -> None:
    """Before the first photo there is no estimate."""
    done = before + since
    assert seconds_left(done, done + left, (before, seconds)) == pytest.approx(left / since * seconds)
    assert seconds_left(before, done, (before, seconds)) is None


def test_the_document_follows_the_formulas() -> None:
    """Every row of its table: photos per hour, CPUs per GPU, megabytes per second, dollars."""
    photo = Photo(tiles=252, size_bytes=4e6, decode_s=0.06)
    rows = re.findall(r"^\| `(\S+)` \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 3
    for name, cells in rows:
        cpus, cpu, gpu, price, *documented = [
            float(cell.replace(",", "").strip(" -") or 0) for cell in cells.split("|")
        ]
        rate = photos_per_s(Machine(cpus, cpu, gpu), photo)
        expected = [
            rate * 3600,
            cpus_per_gpu(gpu, photo),
            bytes_per_s(rate, photo) / 1e6,
            dollars_per_1000(rate, price),
        ]
        assert documented == pytest.approx(expected, rel=0.02, abs=0.005), name
