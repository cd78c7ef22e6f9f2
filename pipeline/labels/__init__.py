"""Labelled tiles: read, deduplicated, split.

It imports `core`, `storage`, `images` and `annotations`. Start with `labelled_tiles`.

* `labelled_tiles`: the list of labelled tiles, read from folders, tables and masked photos
* `label_tables`: tables of paths, labels and boxes, and manifests
* `table_columns`: which columns of a table are read, and which contradict each other
* `table_files`: tables as people save them, as rows of text
* `masks`: photos with crack masks, cut into labelled boxes by rule
* `mask_files`: from the bytes of a mask to the pixels that it marks
* `annotated_photos`: photos with annotations from labelling tools, cut into labelled boxes by rule
* `boxes`: parts of photos that are tiles of their own
* `near_duplicates`: descriptors of tiles, and tiles that show the same picture
* `split`: which tiles are held out for validation
* `crops`: labelled tiles as files of their own
* `downscaled`: labelled tiles as they would look from twice the distance
"""
