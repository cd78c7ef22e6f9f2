"""GeoTIFFs of every form, written by GDAL, and what their pixels are."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

Bands = NDArray[Any]
"""Shape: (bands, H, W)."""


def make_bands(height_px: int, width_px: int, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Make smooth bands that differ, and of which each place differs from its neighbours. Shape: (bands, H, W)."""
    rows, cols = np.ogrid[:height_px, :width_px]
    steps = np.random.default_rng(seed).integers(2, 5, (bands, 2))
    return np.stack(
        [
            ((rows // down + cols // right + 40 * band) % 251).astype(np.uint8)
            for band, (down, right) in enumerate(steps)
        ]
    )


def write_raster(bands: Bands, path: Path | None = None, **options: Any) -> bytes:  # noqa: ANN401 - GDAL's
    """Write a raster as GDAL's options say; return its bytes."""
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype.name} | options
    mask, alpha = profile.pop("mask", None), profile.pop("alpha", None)
    with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning), MemoryFile() as file:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_NUM_THREADS="1"), file.open(**profile) as written:
            written.write(bands)
            if alpha is not None:
                written.colorinterp = [*written.colorinterp[:-1], rasterio.enums.ColorInterp.alpha]
            if mask is not None:
                written.write_mask(mask)
        data = bytes(file.read())
    if path is not None:
        path.write_bytes(data)
    return data


def add_overviews(data: bytes, factors: list[int]) -> bytes:
    """Return a raster with overviews."""
    with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning), TemporaryDirectory() as folder:
        path = Path(folder) / "deck.tif"
        path.write_bytes(data)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as written:
            written.build_overviews(factors, rasterio.enums.Resampling.average)
        return path.read_bytes()


def read_raster(data: bytes) -> Bands:
    """Read all bands as GDAL does. Shape: (bands, H, W)."""
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        MemoryFile(data) as file,
        file.open() as opened,
    ):
        found: Bands = opened.read()
        return found


def make_deck(height_px: int, width_px: int, half_width_px: int) -> NDArray[np.bool_]:
    """Return which pixels of a raster show a deck that lies askew in it. Shape: (H, W)."""
    rows, cols = np.ogrid[:height_px, :width_px]
    shown: NDArray[np.bool_] = np.abs(rows - cols * height_px / width_px) < half_width_px
    return shown


ON_EARTH = {"crs": "EPSG:25832", "transform": from_origin(500_000, 5_600_000, 0.002, 0.002)}
"""A place in Germany, two millimetres to a pixel."""
