"""The output dataset: its files, commits, one writer, SQL and integrity checks.

It may import `core`, `storage`, `images` and `rasters`. Start with `writer`, which commits photos, and `sql`, which
reads them.

* `writer`: the one writer, which commits whole photos
* `sql`: DuckDB over the views of a dataset
* `layout`: the names of a dataset's files
* `run`: `run.json`, with the fingerprint of everything that moves a score
* `commit_log`: the committed photos, read from the files of `images/`
* `lease`: the file by which crackscan refuses a second writer
* `beside`: tables that people add (scales, verdicts, elements), and the views of them
* `rasters`: the rasters of a dataset, and where their tiles and cracks lie
* `moves`: where archives lie now, if not where they were listed
* `forgetting`: removes the rows, tiles, cracks and maps of photos that are scored anew
* `crack_map_files`: crack maps, written before their photos are committed
* `compact`: rewrites a finished dataset as a few large files
* `written_values`: how values are written for people and programs
* `export`: a dataset's photos, tiles or cracks as one CSV, GeoJSON, GeoPackage or DuckDB file
* `targets`: what a command may write over
* `verify`: checks every invariant of a dataset
* `inventory`: the Parquet files of a dataset, and which of them are sound
* `invariants`: the facts that hold for every row, as SQL
* `diff`: compares two datasets, row for row
* `duckdb_filesystem`: remote files for DuckDB, through `storage`
"""
