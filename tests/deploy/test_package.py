"""The wheel and the sdist: what is in them, and that a wheel alone scores a photo."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests import ROOT

SHIPPED = {"README.md", "card.json", "int8.bin", "int8.xml", "model.safetensors"}
LARGEST_BYTES = 20 << 20


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from what git knows or would know."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def wheel_of(built: Path) -> Path:
    """The only wheel."""
    (wheel,) = built.glob("*.whl")
    return wheel


def test_a_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    """Every module, the model, the templates and the marks of typed packages; no tests, no documents."""
    with zipfile.ZipFile(wheel_of(built)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for top in ("pipeline", "jobs") for path in (ROOT / top).glob("**/*.py")}
    data = {f"pipeline/models/shipped/{name}" for name in SHIPPED} | {"pipeline/py.typed", "jobs/py.typed"}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "pipeline/reports/templates").iterdir()}
    assert names == modules | data | templates
    assert wheel_of(built).stat().st_size < LARGEST_BYTES


def test_a_wheel_says_what_it_is(built: Path) -> None:
    """Its name, version, licence, Python and command; its README is the project's."""
    with zipfile.ZipFile(wheel_of(built)) as wheel:
        folder = next(name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
        facts = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
        commands = wheel.read(f"{folder}/entry_points.txt").decode()
        assert any(name.endswith("/LICENSE") for name in wheel.namelist())
    assert (facts["Name"], facts["License-Expression"], facts["Requires-Python"]) == (
        "crackscan",
        "Apache-2.0",
        ">=3.11",
    )
    assert facts["Version"] == folder.split("-")[1].removesuffix(".dist")
    assert facts.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert "crackscan = pipeline.cli:main" in commands


def test_versions_agree(built: Path) -> None:
    """The wheel's, the citation's, and the newest of the list of changes."""
    version = wheel_of(built).name.split("-")[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    newest = next(
        line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "
    )
    assert newest.startswith(f"## {version} ")


def test_an_sdist_can_be_built_and_tested(built: Path) -> None:
    """It has what the wheel is made of, tests and documents; no environment, cache or output of a run."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "pipeline", "jobs", "tests", "docs"} <= tops
    assert not {top for top in tops if "cache" in top or top in {".venv", "build", "demo"}}
    assert sdist.stat().st_size < LARGEST_BYTES


@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_wheel_alone_scores_a_photo(built: Path, tmp_path: Path) -> None:
    """Installed into an empty environment, with the versions of today, and run from an empty folder."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel_of(built)], check=True)
    place = tmp_path / "empty"
    place.mkdir()
    for words in (
        "sample --out sample --photos 1 --size 448x448 --tiles 0",
        "score sample/photos.zip --out scores",
        "query scores 'SELECT image FROM images'",
    ):
        command = f"{python.with_name('crackscan')} {words}"
        run = subprocess.run(command, shell=True, cwd=place, capture_output=True, text=True, check=False)  # noqa: S602
        assert run.returncode == 0, run.stdout + run.stderr
    where = subprocess.run(
        [python, "-c", "import pipeline; print(pipeline.__file__)"],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(tmp_path / "venv")
