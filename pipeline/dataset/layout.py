"""The names of a dataset's files."""

import hashlib
import os
from dataclasses import dataclass

from pipeline import storage


@dataclass(frozen=True)
class Layout:
    """URLs of one dataset's files."""

    url: str

    @property
    def lease(self) -> str:
        """The lease; exists only while a writer lives, or after one was killed."""
        return storage.join(self.url, "lease")

    @property
    def run(self) -> str:
        """The facts that never change between runs."""
        return storage.join(self.url, "run.json")

    @property
    def summary(self) -> str:
        """The summary; exists only if every listed photo has its row."""
        return storage.join(self.url, "summary.json")

    @property
    def report(self) -> str:
        """Figures, usage and cost of each run."""
        return storage.join(self.url, "run-report.json")

    @property
    def plans(self) -> str:
        """Folder of the plan: a table of members for each archive."""
        return storage.join(self.url, "plan")

    def plan(self, archive: str) -> str:
        """Table of the members of one archive."""
        return storage.join(self.plans, f"{hashlib.sha256(archive.encode()).hexdigest()[:16]}.parquet")

    @property
    def moves(self) -> str:
        """Where archives and folders lie now, as JSON; exists only after `crackscan relocate`."""
        return storage.join(self.plans, "moves.json")

    @property
    def awaited(self) -> str:
        """The archives that the latest run is to list, as JSON."""
        return storage.join(self.plans, "awaited.json")

    @property
    def forgotten(self) -> str:
        """Photos whose rows are being removed, as JSON; exists only meanwhile, and after a kill in that moment."""
        return storage.join(self.plans, "forgotten.json")

    def log(self, run_id: str) -> str:
        """Log lines of one run, as JSON; a remote file has those of a run at work up to a while ago."""
        return storage.join(self.url, "logs", f"{run_id}.jsonl")

    def ray_output(self, run_id: str) -> str:
        """Local file for what Ray writes beside its logs; the null device if the dataset is remote."""
        if not self.url.startswith(storage.LOCAL):
            return os.devnull
        return self.url.removeprefix(storage.LOCAL) + f"/logs/{run_id}.ray.txt"

    def images(self, part: int) -> str:
        """The scored photos of a commit; the file that makes it one."""
        return storage.join(self.url, "images", f"part-{part:06d}.parquet")

    def failed(self, part: int) -> str:
        """The failed photos of a commit."""
        return storage.join(self.url, "images", f"failed-{part:06d}.parquet")

    def tiles(self, part: int, token: str) -> str:
        """The tiles of a commit."""
        return storage.join(self.url, "tiles", f"part-{part:06d}-{token}.parquet")

    def cracks(self, part: int, token: str) -> str:
        """The cracks of a commit; exists only if a photo of it has one."""
        return storage.join(self.url, "cracks", f"part-{part:06d}-{token}.parquet")

    @property
    def rasters(self) -> str:
        """Size, place and overviews of each raster; exists only if there is one."""
        return storage.join(self.url, "rasters.parquet")

    @property
    def raster_cracks(self) -> str:
        """The cracks of rasters, joined over windows; exists only in a finished dataset with a raster."""
        return storage.join(self.url, "raster_cracks.parquet")

    @property
    def maps(self) -> str:
        """Folder of crack maps; exists only if a photo has one."""
        return storage.join(self.url, "maps")

    def map(self, image_id: str) -> str:
        """Crack map of one photo."""
        return storage.join(self.maps, f"{image_id}.png")
