"""Tokens of real clusters: each way to give one, and what is said without; each head has a home folder of its own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cluster.job_server import RayJobServer
from pipeline.cluster.ray_token import MODE, PATH, TOKEN
from pipeline.cluster.session import ClusterConfig, ray_session
from pipeline.core.errors import UsageError
from tests.helpers import ray_head
from tests.helpers.ray_head import Head, run_head

pytestmark = pytest.mark.ray

NONE = ("lets in nobody without its token, and there is none here. Set RAY_AUTH_TOKEN to what `ray get-auth-token` "
        "prints on its head, or RAY_AUTH_TOKEN_PATH to a file that holds it.")  # fmt: skip
FORBIDDEN = ("lets in nobody without its token, and RAY_AUTH_MODE=disabled forbids Ray to give one. Unset "
             "RAY_AUTH_MODE.")  # fmt: skip
WRONG = "does not accept the token from {}. Set RAY_AUTH_TOKEN to what `ray get-auth-token` prints on its head."


@dataclass(frozen=True)
class Homes:
    """Folders of users, and a cluster of theirs."""

    known: Path
    """Home of the user who began the cluster: `.ray/auth_token` is there."""
    stranger: Path
    """Home without a token."""
    head: Head

    def environment(self, way: str) -> dict[str, str]:
        """The variables of a client that gives its token in one of several ways."""
        token_file = str(self.known / ".ray" / "auth_token")
        at_home, away = {"HOME": str(self.known)}, {"HOME": str(self.stranger)}
        return {
            "nothing set": at_home,
            "token": away | {TOKEN: ray_head.TOKEN},
            "token, though a file is missing": away | {TOKEN: ray_head.TOKEN, PATH: "/nowhere"},
            "path": away | {PATH: token_file},
            "mode and path": away | {PATH: token_file, MODE: "token"},
            "none": away,
            "mode and none": away | {MODE: "token"},
            "disabled": at_home | {MODE: "disabled"},
            "wrong token": at_home | {TOKEN: "0" * 64},
            "wrong path": away | {PATH: __file__},
            "missing path": at_home | {PATH: "/nowhere"},
        }[way]


def start(folder: Path, **variables: str) -> Iterator[Homes]:
    """Run a cluster whose user has a token at home."""
    known, stranger = folder / "known", folder / "stranger"
    (known / ".ray").mkdir(parents=True)
    stranger.mkdir()
    (known / ".ray" / "auth_token").write_text(f"{ray_head.TOKEN}\n")
    with run_head({"HOME": str(known), **variables}) as head:
        yield Homes(known, stranger, head)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    """Run a cluster as `ray start --head` does on a machine that has a token."""
    yield from start(tmp_path_factory.mktemp("guarded"))


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    """Run a cluster that asks for no token."""
    yield from start(tmp_path_factory.mktemp("unguarded"), **{MODE: "disabled"})


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process's environment, without Ray's variables."""
    for name in (MODE, TOKEN, PATH, "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def use(homes: Homes, way: str, environment: pytest.MonkeyPatch) -> None:
    """Ask the job server for its jobs, and join the cluster; the environment stays as it was."""
    for name, value in homes.environment(way).items():
        environment.setenv(name, value)
    before = {name: os.environ.get(name) for name in (MODE, TOKEN, PATH)}
    assert RayJobServer(homes.head.jobs).jobs() == []
    with ray_session(ClusterConfig(homes.head.ray)):
        import ray

        assert ray.get(ray.put(1)) == 1
    assert {name: os.environ.get(name) for name in (MODE, TOKEN, PATH)} == before


@pytest.mark.parametrize("way", ["nothing set", "token", "token, though a file is missing", "path", "mode and path"])
def test_each_way_to_give_a_token_works(guarded: Homes, environment: pytest.MonkeyPatch, way: str) -> None:
    """For the job server as for a driver that joins, one after the other in one process."""
    use(guarded, way, environment)


@pytest.mark.parametrize(("way", "says"), [
    ("none", NONE),
    ("mode and none", NONE),
    ("disabled", FORBIDDEN),
    ("wrong token", WRONG.format("RAY_AUTH_TOKEN")),
    ("wrong path", WRONG.format(f"{__file__} (RAY_AUTH_TOKEN_PATH)")),
])  # fmt: skip
def test_whoever_has_no_right_token_is_told_so(
    guarded: Homes, environment: pytest.MonkeyPatch, way: str, says: str
) -> None:
    """None, a wrong one and a forbidden one are three things; the message names the place of the token."""
    for name, value in guarded.environment(way).items():
        environment.setenv(name, value)
    with pytest.raises(UsageError) as refused:
        RayJobServer(guarded.head.jobs).jobs()
    assert str(refused.value) == f"{guarded.head.jobs} {says}"
    with pytest.raises(UsageError) as refused, ray_session(ClusterConfig(guarded.head.ray)):
        pass
    assert str(refused.value) == f"{guarded.head.ray} {says}"


def test_a_missing_file_of_a_token_is_named(guarded: Homes, environment: pytest.MonkeyPatch) -> None:
    """Ray itself would crash."""
    for name, value in guarded.environment("missing path").items():
        environment.setenv(name, value)
    with pytest.raises(UsageError) as refused:
        RayJobServer(guarded.head.jobs)
    assert str(refused.value) == (
        "RAY_AUTH_TOKEN_PATH is /nowhere, which cannot be read: No such file or directory; expected a file that holds "
        "a token."
    )


@pytest.mark.parametrize("way", ["nothing set", "token", "none", "disabled", "mode and path", "missing path"])
def test_a_cluster_that_asks_for_none_gets_none(unguarded: Homes, environment: pytest.MonkeyPatch, way: str) -> None:
    """Whatever the user has."""
    use(unguarded, way, environment)
