"""Rasters, TIFFs of any size: their windows, read by byte ranges, and their place on the map.

It imports `core`, `storage` and `images`. Start with `window_reader` for pixels, with `georeference` for places.

* `windows`: rectangles of whole tiles of a raster's one grid
* `window_reader`: reads windows of a raster
* `regions`: pixels of any region of a raster, for pictures
* `window_decoder`: from the bytes of a window to pixels
* `excerpts`: blocks of a raster as a small TIFF of their own
* `levels`: which level of a raster of 16 bits is white
* `tiff_raster`: which pictures, overviews and masks a TIFF has
* `tiff_directories`: the directories of a TIFF, read by byte ranges
* `geotiff`: the georeference that a TIFF states in its tags
* `georeference`: where pixels lie on the map and on the earth, and how much of the ground they span
* `geopackage`: layers of polygons and lines as a GeoPackage
"""
