"""The names of a dataset's files, and where other files may go."""

import os

from pipeline.dataset.layout import Layout

HERE = Layout("file:///data/scores")


def test_files_have_their_documented_names() -> None:
    """Analysts rely on these names."""
    assert HERE.run == "file:///data/scores/run.json"
    assert HERE.summary == "file:///data/scores/summary.json"
    assert HERE.images(7) == "file:///data/scores/images/part-000007.parquet"
    assert HERE.failed(7) == "file:///data/scores/images/failed-000007.parquet"
    assert HERE.tiles(7, "token") == "file:///data/scores/tiles/part-000007-token.parquet"
    assert HERE.cracks(7, "token") == "file:///data/scores/cracks/part-000007-token.parquet"
    assert HERE.map("0123") == "file:///data/scores/maps/0123.png"


def test_every_archive_has_a_table_of_its_own() -> None:
    """Its name is a hash of the archive's URL, whatever characters that has, and always the same."""
    addresses = ["s3://b/a.zip", "s3://b/A.zip", "file:///a/../b c.zip", "s3://b/ä?*.zip"]
    names = [HERE.plan(address) for address in addresses]
    assert len({*names}) == len(addresses)
    assert names == [HERE.plan(address) for address in addresses]
    assert all(name.removeprefix("file:///data/scores/plan/").removesuffix(".parquet").isalnum() for name in names)


def test_the_output_of_ray_goes_to_local_disk_or_nowhere() -> None:
    """Ray's C++ side can write to nothing else."""
    assert HERE.ray_output("run") == "/data/scores/logs/run.ray.txt"
    assert Layout("s3://b/scores").ray_output("run") == os.devnull
