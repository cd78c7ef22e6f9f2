"""Ray's tokens: a new one for each private Ray; for a cluster that asks for one, the user's.

Ray (2.60) does neither by itself. Its private Ray writes a token into the user's home folder and asks for it from then
on. Its clients give a token only if `RAY_AUTH_MODE` is `token`, and a driver that has a token cannot work on every
cluster that has none. So crackscan asks the cluster, and sets Ray's variables for as long as it uses that cluster.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]  # compiled
from ray.exceptions import AuthenticationError

from pipeline.core.errors import UsageError

MODE, TOKEN, PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray reads these itself, a token before a path, and `HOME_FILE` if neither is set."""

HOME_FILE = "~/.ray/auth_token"

CONNECT_S = 10.0
"""How long a machine may take to answer at all."""


@contextmanager
def own_token() -> Iterator[None]:
    """Let a private Ray ask for a token that nobody else has, while the context lasts; `disabled` is respected."""
    values = {} if _is_disabled() else {MODE: "token", TOKEN: secrets.token_hex(32)}
    with _variables(values):
        yield


@contextmanager
def token_for(place: str, asks: Callable[[], bool]) -> Iterator[None]:
    """Give the user's token to a cluster if it asks for one, and none otherwise, while the context lasts.

    Args:
        place: the cluster's address, for messages.
        asks: asks the cluster, without a token, whether it wants one.

    Raises:
        UsageError: it wants one, and there is none here.
    """
    is_disabled = _is_disabled()
    with _variables({MODE: "disabled"}):
        wants_one = asks()
        if wants_one:
            _check_token(place, is_disabled=is_disabled)
    with _variables({MODE: "token" if wants_one else "disabled"}):
        yield


@contextmanager
def token_of_cluster(address: str) -> Iterator[None]:
    """Give the user's token to a cluster that is joined, as `token_for` does.

    Args:
        address: `auto` or `HOST:PORT`.

    Raises:
        OSError: there is no cluster.
        ValueError: the address is none.
        UsageError: there is no token, or a wrong one.
    """
    found = canonicalize_bootstrap_address(address) or address
    place = found if address == "auto" else address
    with token_for(place, lambda: not _lets_in(found)):
        if not _lets_in(found):
            raise wrong_token(place)
        yield


def _lets_in(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()  # Ray would try for 40 s
        GcsClient(address=address)
    except AuthenticationError:
        return False
    return True


def no_token(place: str) -> UsageError:
    """Return the error if there is no token for a cluster."""
    return UsageError(
        f"{place} lets in nobody without its token, and there is none here. Set RAY_AUTH_TOKEN to what "
        "`ray get-auth-token` prints on its head, or RAY_AUTH_TOKEN_PATH to a file that holds it."
    )


def wrong_token(place: str) -> UsageError:
    """Return the error if a cluster does not accept the token."""
    return UsageError(
        f"{place} does not accept the token from {_name_source()}. Set RAY_AUTH_TOKEN to what `ray get-auth-token` "
        "prints on its head."
    )


def _is_disabled() -> bool:
    return (os.environ.get(MODE) or "token").lower() != "token"


def _check_token(place: str, *, is_disabled: bool) -> None:
    if is_disabled:
        raise UsageError(
            f"{place} lets in nobody without its token, and RAY_AUTH_MODE={os.environ[MODE]} forbids Ray to give one. "
            "Unset RAY_AUTH_MODE."
        )
    path = os.environ.get(PATH)
    if path and not os.environ.get(TOKEN):
        _check_file(path)  # Ray would crash
    if not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        raise no_token(place)


def _check_file(path: str) -> None:
    try:
        problem = "is empty" if not Path(path).read_bytes().strip() else None
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    if problem:
        raise UsageError(f"RAY_AUTH_TOKEN_PATH is {path}, which {problem}; expected a file that holds a token.")


def _name_source() -> str:
    if os.environ.get(TOKEN):
        return TOKEN
    return f"{os.environ[PATH]} (RAY_AUTH_TOKEN_PATH)" if os.environ.get(PATH) else HOME_FILE


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the context lasts; Ray keeps what it read, and must read again."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _read_again()


def _read_again() -> None:
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
