"""The walls of the house: which module may know which foreign power, and that imports point one way."""

import ast
from pathlib import Path

import pytest

from tests import ROOT

MODULES = sorted([*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("jobs/*.py")])

WALLS = {
    "ray": {"cluster", "shared_disk", "hosting", "counters", "trainer", "fit_worker", "job_server"},
    # Ray's client of its job server raises its errors.
    "aiohttp": {"job_server"},
    "click": {"cli", "jobs"},
    "fsspec": {"stores", "s3_requests", "duckdb_files"},
    "s3fs": set[str](),
    "packaging": {"machine", "checks"},
    "tenacity": {"storage_retry"},
    "yaml": {"cli"},
    # Scoring decodes in one place. The others make pictures: augmentation, maps, tiles as files, the synthetic sample;
    # `machine` asks which codecs there are.
    "PIL": {"decode", "exif", "camera", "marks", "maps", "cut_tiles", "drawing", "noise", "pictures", "sample_photos",
            "sample_tiles", "sample_truth", "machine"},
    "simplejpeg": {"decode"},
    # Photos on their way are rows of Arrow tables, from the listing of their archive to the sink; `decompressed` takes
    # zstd from it.
    "pyarrow": {"schema", "listing", "archives", "inputs", "plan", "reading", "scoring", "hosting", "flow",
                "progress", "arrivals", "outlook", "decompressed", "dataset", "sink", "results", "inventory",
                "promises", "verify", "compact", "part_writer", "map_files", "label_table", "history", "trainer",
                "sample_truth", "originals", "inspection", "report", "changes", "compare", "cli"},
    "duckdb": {"results"},
    "torch": {"activation", "backbones", "course", "domain", "domain_tiles", "engine", "figures", "fit_worker",
              "graph", "history", "metrics", "network", "quantise", "trainer", "training", "weights"},
    # Whoever imports it from there imports it as `ov`.
    "openvino": {"openvino_runtime"},
    "nncf": {"quantise"},
    "mlflow": {"tracking"},
    "timm": {"backbones", "training", "weights"},
    "matplotlib": {"figures"},
    "jinja2": {"page"},
}  # fmt: skip
"""Foreign package to the modules that may import it."""

PURE = {
    "tiles",
    "boxes",
    "heat",
    "plots",
    "matching",
    "changes",
    "split",
    "submission",
    "disclosure",
    "metrics",
    "intervals",
    "recipe",
    "capacity",
    "placement",
    "prices",
    "tally",
    "card",
    "errors",
    "schema",
}
"""Geometry, splits, metrics, settings, and what a job is: no disk of their own, no Ray, no GPU."""


def name_of(path: Path) -> str:
    """The module's name; everything in `cli/` counts as `cli`, and in `jobs/` as `jobs`."""
    return path.parent.name if path.parent.name in {"cli", "jobs"} else path.stem


def imported(path: Path, *, at_import: bool = False) -> set[str]:
    """Full names of what a module imports; only what its own import pulls in, if asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if at_import else list(ast.walk(tree))
    names = set[str]()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def ours(path: Path) -> set[str]:
    """Modules of `pipeline` that a module imports when it is imported."""
    names = {path.stem for path in MODULES if path.parent.name == "pipeline"}
    found = {name.split(".")[1] for name in imported(path, at_import=True) if name.startswith("pipeline.")}
    return found & names


@pytest.mark.parametrize("power", WALLS)
def test_each_foreign_power_lives_behind_its_wall(power: str) -> None:
    """A package is imported by the modules that are listed for it, all of them and no others."""
    users = {name_of(path) for path in MODULES if any(name.split(".")[0] == power for name in imported(path))}
    assert users == WALLS[power]


def test_imports_point_one_way() -> None:
    """No module imports itself by a detour: they can be put in an order in which each knows only earlier ones."""
    left = {path.stem: ours(path) for path in MODULES if path.parent.name == "pipeline" and path.stem != "__init__"}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle of imports among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_know_neither_ray_nor_cli(name: str) -> None:
    """Geometry, splits, metrics and settings can be tested in a second."""
    found = {import_.split(".")[0] for import_ in imported(ROOT / "pipeline" / f"{name}.py")}
    assert not found & {"ray", "click", "fsspec", "duckdb"}


def test_nothing_below_the_command_line_imports_it() -> None:
    """`cli` is the top, and `jobs` stands on it: no module of the pipeline knows either, nor `cli` the jobs."""
    for path in MODULES:
        tops = {"pipeline": ("pipeline.cli", "jobs"), "cli": ("jobs",), "jobs": ()}[path.parent.name]
        assert not any(name.startswith(tops) for name in imported(path)), path


def test_only_the_edge_reads_the_environment() -> None:
    """Below the command line there is no environment; Ray, OpenBLAS and MLflow are told theirs before they begin."""
    readers = {name_of(path) for path in MODULES if "os.environ" in path.read_text(encoding="utf-8")}
    assert readers <= {"__init__", "cluster", "cli", "trainer", "fit_worker", "job_server", "tracking"}
