"""Where the files of an output dataset lie."""

import hashlib
import os
from dataclasses import dataclass

from pipeline import storage
from pipeline.core.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """Names of the files below one dataset's URL."""

    url: str

    @property
    def lease(self) -> str:
        """Who writes; stands only while a writer lives, or after one was killed."""
        return storage.join(self.url, "lease")

    @property
    def run(self) -> str:
        """What may never change between runs."""
        return storage.join(self.url, "run.json")

    @property
    def summary(self) -> str:
        """Stands only where every listed photo has its row."""
        return storage.join(self.url, "summary.json")

    @property
    def report(self) -> str:
        """What each run did, took and cost."""
        return storage.join(self.url, "run-report.json")

    @property
    def plans(self) -> str:
        """Folder of the tables of what each archive holds."""
        return storage.join(self.url, "plan")

    def plan(self, archive: str) -> str:
        """Table of what one archive holds."""
        return storage.join(self.plans, f"{hashlib.sha256(archive.encode()).hexdigest()[:16]}.parquet")

    def log(self, run_id: str) -> str:
        """Log lines of one run, as JSON; a remote file appears when the run ends, since object stores cannot append."""
        return storage.join(self.url, "logs", f"{run_id}.jsonl")

    def noise(self, run_id: str) -> str:
        """Local file for what Ray writes beside its logs; nowhere where the dataset is remote."""
        if not self.url.startswith(storage.LOCAL):
            return os.devnull
        return self.url.removeprefix(storage.LOCAL) + f"/logs/{run_id}.ray.txt"

    def images(self, part: int) -> str:
        """Commit `part`; its photos that were scored."""
        return storage.join(self.url, "images", f"part-{part:06d}.parquet")

    def failed(self, part: int) -> str:
        """Its photos that failed."""
        return storage.join(self.url, "images", f"failed-{part:06d}.parquet")

    def tiles(self, part: int, token: str) -> str:
        """Its tiles."""
        return storage.join(self.url, "tiles", f"part-{part:06d}-{token}.parquet")

    @property
    def maps(self) -> str:
        """Folder of crack maps; there only where maps were asked for and there was something to see."""
        return storage.join(self.url, "maps")

    def map(self, image_id: str) -> str:
        """Crack map of one photo."""
        return storage.join(self.maps, f"{image_id}.png")


def check_outside(layout: Layout, url: str) -> None:
    """Refuse a place in a dataset.

    Raises:
        UsageError: `url` is the dataset or lies in it.
    """
    if f"{url}/".startswith(f"{layout.url}/"):
        raise UsageError(f"{url} lies in the dataset {layout.url}, which holds its own files only. Give another --out.")
