"""Planted secrets never appear in any output, and crackscan unpickles nothing from outside."""

import ast
import hashlib
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipeline import storage
from pipeline.cli import main
from pipeline.core.errors import ModelError
from pipeline.models.model import SHIPPED_MODEL, WEIGHTS_FILE, load_model
from pipeline.models.network import network_of
from tests import ROOT
from tests.cli.test_what_commands_replace import commands
from tests.conftest import Crackscan, S3Place
from tests.helpers.fake_jobs import FakeJobs
from tests.helpers.fault_proxy import Rule

SECRET = "wJalrXUtnFEMI-K7MDENG"  # noqa: S105 - planted
ADDRESSES = (
    f"s3://anna:{SECRET}@bucket/in",
    f"https://{SECRET}@host/in.zip",
    f"https://host/in.zip?versionId=3&X-Amz-Signature={SECRET}",
)
COMMANDS = (
    ["score", "PLACE", "--out", "out"],
    ["score", "@list.txt", "--out", "out"],
    ["score", "@PLACE", "--out", "out"],
    ["score", "photos", "--out", "PLACE"],
    ["score", "photos", "--out", "out", "--model", "PLACE"],
    ["plan", "PLACE"],
    ["retry", "PLACE"],
    ["train", "PLACE", "--out", "out"],
    ["train", "photos", "--out", "PLACE"],
    ["train", "photos", "--out", "out", "--weights", "PLACE"],
    ["evaluate", "PLACE", "--out", "out"],
    ["compact", "photos", "--to", "PLACE"],
    ["submit", "score", "PLACE", "--out", "out"],
)


@pytest.mark.parametrize("address", ADDRESSES, ids=["password", "token", "signature"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_address_with_a_secret_is_refused_and_not_repeated(
    words: list[str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any argument it is wrong usage; the message does not contain it, and crackscan writes nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.cluster.job_server.connect", lambda _address: FakeJobs())
    (tmp_path / "photos").mkdir()
    (tmp_path / "list.txt").write_text(f"photos\n{address}\n")
    shown = CliRunner().invoke(main, [word.replace("PLACE", address) for word in words])
    assert (shown.exit_code, SECRET in shown.output + repr(shown.exception)) == (2, False), shown.output
    assert " holds a" in shown.output
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "list.txt"}


def calls_with_a_place() -> Iterator[tuple[str, ...]]:
    """Yield a call for each argument and option of each command that takes a value: that value is PLACE."""
    for name, command in commands(main):
        for parameter in command.params:
            if not (isinstance(parameter, click.Option) and parameter.is_flag):
                needed = [
                    (each, "PLACE" if each is parameter else "x")
                    for each in command.params
                    if each is parameter or each.required
                ]
                options = [
                    word for each, value in needed if isinstance(each, click.Option) for word in (each.opts[-1], value)
                ]
                arguments = [value for each, value in needed if isinstance(each, click.Argument)]
                yield (*name.split(), *arguments, *options)


@pytest.mark.parametrize("words", [*calls_with_a_place()], ids=" ".join)
def test_every_argument_and_option_refuses_a_secret(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every command, those to come included: wrong usage before any work, and nobody repeats it, Click neither."""
    monkeypatch.chdir(tmp_path)
    for address in ADDRESSES:
        shown = CliRunner().invoke(main, [word.replace("PLACE", address) for word in words])
        assert (shown.exit_code, SECRET in shown.output + repr(shown.exception)) == (2, False), shown.output
        assert " holds a" in shown.output
        assert [*tmp_path.iterdir()] == []


def test_a_word_too_many_is_not_repeated_if_it_holds_a_secret() -> None:
    """Click's message about it would; the option before it is named, and whether it takes a value does not matter."""
    shown = CliRunner().invoke(main, ["scale", "scores", "--remove", ADDRESSES[0]])
    assert (shown.exit_code, SECRET in shown.output) == (2, False)
    assert shown.output.startswith("crackscan: What follows --remove holds a password in a URL (user:password@).")


def test_a_secret_in_a_config_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the key; OUT of `compact` is read only, but would be named on the terminal."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compact.yaml").write_text(f"out: {ADDRESSES[0]}\nto: new\n")
    shown = CliRunner().invoke(main, ["compact", "--config", "compact.yaml"])
    assert (shown.exit_code, SECRET in shown.output) == (2, False)
    assert shown.output.startswith("crackscan: compact.yaml: `out` holds a password in a URL (user:password@).")


def test_the_message_says_where_the_secret_is(tmp_path: Path) -> None:
    """And what to do instead."""
    (tmp_path / "list.txt").write_text(ADDRESSES[0])
    shown = CliRunner().invoke(main, ["score", f"@{tmp_path}/list.txt", "--out", str(tmp_path / "out")])
    assert shown.output == (
        f"crackscan: A line of {tmp_path}/list.txt holds a password in a URL (user:password@). Addresses are kept in "
        "what is written, logged and shown, so nothing was done. Give credentials by the usual variables, a profile or "
        "a role, or copy the file here first.\n"
    )


def read_texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield everything that was written, with tables decoded."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        yield path.name, path.name.encode() + path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path.name, repr([table.schema.metadata, table.to_pylist()]).encode()


@pytest.mark.ray
def test_no_output_contains_a_secret(
    faulty_s3: S3Place,
    packed: dict[str, Path],
    crackscan: Crackscan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dataset, log, reports, page, job and terminal, after storage faults, failed photos, and right and wrong keys."""
    secrets = [faulty_s3.environment["AWS_SECRET_ACCESS_KEY"], SECRET]
    for name in ("HF_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "WEBDAV_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("DATABASE_URL", f"postgres://anna:{SECRET}@db/photos")
    storage.upload(packed["zip"], f"{faulty_s3.url}/photos.zip")
    faulty_s3.rules[:] = [Rule("slow_down", "GET", "/photos.zip", count=1, skip=skip) for skip in (0, 5)]
    (tmp_path / "prices.yaml").write_text("{currency: EUR, cpu_hour: 0.045, gpu_hour: 0}")
    results = [
        crackscan("score", f"{faulty_s3.url}/photos.zip", "--out", "out", "--actors", "1", "--cpus", "2",
                  "--max-pixels", "100000", "--prices", "prices.yaml"),
        crackscan("report", "out", "--out", "page.html"),
        crackscan("status", "out", "--json"),
        crackscan("query", "out", "SELECT * FROM failures", "--format", "json"),
        crackscan("export", "out", "--to", "csv", "--out", "out.csv"),
    ]  # fmt: skip
    assert [ran.returncode for ran in results] == [3, 0, 0, 0, 0], [ran.stderr for ran in results]
    assert " EUR, storage and traffic not included; more in out/run-report.json." in results[0].stdout
    log = b"".join(path.read_bytes() for path in (tmp_path / "out" / "logs").iterdir())
    assert b"tried again" in log
    assert b"photo failed" in log
    server = FakeJobs()
    monkeypatch.setattr("pipeline.cluster.job_server.connect", lambda _address: server)
    submitted = CliRunner().invoke(main, ["submit", "score", f"{faulty_s3.url}/photos.zip", "--out", "s3://b/out"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)  # a wrong key, which the store complains about
    results.append(crackscan("score", f"{faulty_s3.url}/photos.zip", "--out", "other"))
    assert results[-1].returncode == 1
    texts = [("terminal", (ran.stdout + ran.stderr).encode()) for ran in results]
    texts += [("job", (repr(server.requests) + submitted.output).encode()), *read_texts(tmp_path)]
    assert len(server.requests) == 1
    assert {"run.json", "run-report.json", "page.html", "out.csv", "part-000000.parquet"} <= {name for name, _ in texts}
    assert [(name, secret) for name, text in texts for secret in secrets if secret.encode() in text] == []


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        """Return the call for pickle."""
        return Path.touch, (self._path,)


def test_a_pickle_in_place_of_weights_is_refused_unread(tmp_path: Path) -> None:
    """Also with the right SHA-256 in the card; unpickling it would have worked."""
    trap = tmp_path / "unpickled"
    data = pickle.dumps(Evil(trap))
    folder = tmp_path / "model"
    shutil.copytree(storage.local_path(SHIPPED_MODEL), folder)
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(ModelError, match="is damaged"):
        load_model(str(folder))
    model = load_model(SHIPPED_MODEL)
    forged = replace(model.card, weights_sha256=hashlib.sha256(data).hexdigest(), int8=None)
    (folder / "card.json").write_text(forged.to_json())
    with pytest.raises(ModelError, match=f"The weights at file://{folder} are damaged"):
        network_of(load_model(str(folder)))
    assert not trap.exists()
    pickle.loads(data)  # noqa: S301 - our own
    assert trap.exists()


def test_nothing_unpickles_foreign_data() -> None:
    """Only a process and its own child use `pickle`; torch loads weights only."""
    loads = dict[str, list[str]]()
    for path in sorted((ROOT / "pipeline").glob("**/*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if name in {"torch.load", "pickle.load", "pickle.loads", "numpy.load", "np.load", "joblib.load"}:
                loads.setdefault(path.stem, []).append(name)
                assert name != "torch.load" or "weights_only=True" in ast.unparse(call), path
    assert loads == {
        "worker": ["torch.load"],
        "isolated_decoder": ["pickle.load", "pickle.load"],
        "weights": ["torch.load"],
    }
