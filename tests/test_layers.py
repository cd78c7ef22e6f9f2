"""The shape of the house that no linter checks: sizes, package docstrings, environment, and what an import loads."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from tests import ROOT

MODULES = sorted([*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("jobs/*.py")])
PACKAGES = sorted(path.parent for path in ROOT.glob("pipeline/*/__init__.py"))

MOST_MODULES = 20
"""In one package; `cli` has one for each command."""
MOST_LINES = 400

ENVIRONMENT_READERS = {
    "cli",  # reads what the user has set
    "cluster.job_server",  # tells Ray's client its address
    "cluster.ray_token",  # Ray reads its token there
    "cluster.session",  # tells Ray's processes their settings
    "training.ray_trainer",
    "training.tracking",  # tells MLflow its own
    "training.worker",
}
"""Packages and modules that may know the environment."""


def name_of(path: Path) -> str:
    """A package's name, or a path below the root."""
    return path.name if path.is_dir() else str(path.relative_to(ROOT))


def loaded_by(statement: str) -> set[str]:
    """Top-level names of what a fresh process has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_a_package_can_be_taken_in_at_a_glance(package: Path) -> None:
    """It has at most twenty modules, and its docstring names each of them once, in a line of its own."""
    modules = sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("__"))
    if package.name != "cli":
        assert len(modules) <= MOST_MODULES
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert sorted(re.findall(r"^\* `(\w+)`: .{10,}", docstring, re.MULTILINE)) == modules


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_in_the_head(path: Path) -> None:
    """It is one noun, and not long."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_only_the_edge_knows_the_environment() -> None:
    """Configuration is read once; Ray and MLflow are told theirs before they begin."""
    readers = {
        ".".join(path.relative_to(ROOT / "pipeline").with_suffix("").parts)
        for path in ROOT.glob("pipeline/*/*.py")
        if "os.environ" in path.read_text(encoding="utf-8")
    }
    assert {name.partition(".")[0] if name.startswith("cli.") else name for name in readers} <= ENVIRONMENT_READERS


def test_the_package_and_the_command_load_little() -> None:
    """`import pipeline` and `crackscan --help` answer at once."""
    heavy = {"torch", "ray", "pyarrow", "openvino", "duckdb", "numpy", "fsspec"}
    assert not loaded_by("import pipeline") & heavy
    assert not loaded_by("import pipeline.cli") & heavy


@pytest.mark.parametrize(
    "module", ["scoring.flow", "scoring.ray_data", "scoring.reading", "training.progress", "dataset.sql"]
)
def test_drivers_and_readers_load_no_torch(module: str) -> None:
    """It takes seconds and half a gigabyte in each process."""
    assert "torch" not in loaded_by(f"import pipeline.{module}")


def test_public_names_are_there() -> None:
    """Each is found when it is first used, is what its module calls by that name, and can be listed."""
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
    assert {*pipeline.__all__} <= {*dir(pipeline)}
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = pipeline.scores
