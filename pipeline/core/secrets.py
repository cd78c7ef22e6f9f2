"""Passwords and keys in what is about to be sent or kept where others can read it: a job's command line, a dataset.

Found by their form, and by comparison with what is known to be secret here. What is found is never repeated.
"""

import re
from collections.abc import Collection, Iterable

from pipeline.core.errors import UsageError

FORMS_OF_URLS = {
    # `container@account` of Azure has no colon, and `host:9000/a@b` a port.
    "a password in a URL (user:password@)": r"://[^/@\s]*:(?!\d+(?:/|$))[^@\s]+@",
    "a user or token in a URL": r"https?://[^/?#@\s]+@",
    "a signature or key behind a URL": r"(?i)[?&](?:x-amz-(?:signature|credential|security-token)|awsaccesskeyid|"
    r"signature|sig|token|access_token|key|api_?key|secret|password)=",
}
"""What it is, and how it looks, in the address of a place …"""

FORMS = FORMS_OF_URLS | {
    "a secret by its name": r"(?i)(?:secret|password|passwd|access_?key|account_?key|api_?key|"
    r"auth_?token|session_?token)[\w-]*\s*[=:]\s*\S",
    "an access key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token of GitHub or Hugging Face": r"\b(?:gh[pousr]_\w{30,}|github_pat_\w{30,}|hf_\w{30,})",
}
"""… and anywhere."""

TELLING_NAMES = r"(?i)(?:SECRET|TOKEN|PASSWORD|PASSWD|ACCESS_KEY(?!_ID)|ACCOUNT_KEY|API_KEY)"
"""In the name of a variable whose value is a secret …"""
SHORTEST = 8
"""… if it has so many characters: a shorter one may stand in any text by chance."""


def check_no_secrets(texts: Iterable[tuple[str, str]], known: Collection[str]) -> None:
    """Refuse to send a secret.

    Args:
        texts: what is to be sent, each with the name of where it was given.
        known: secrets of this process; too short ones are left out.

    Raises:
        UsageError: there is one; the message says where, and not what it is.
    """
    for where, text in texts:
        found = next((kind for kind, form in FORMS.items() if re.search(form, text)), None)
        if found is None and any(secret in text for secret in known if len(secret) >= SHORTEST):
            found = "a secret of this machine's environment"
        if found is not None:
            raise UsageError(
                f"{where} holds {found}, which whoever sees the cluster's dashboard could read; nothing was sent. Give "
                "the cluster's machines credentials of their own (an instance role, a secret of Kubernetes), and leave "
                "it out here."
            )


def refuse_credentials(places: Iterable[tuple[str, str | None]]) -> None:
    """Refuse addresses that hold a secret: they would be kept in datasets and models, logged, and shown on pages.

    Args:
        places: paths and URLs, each with the name of where it was given.

    Raises:
        UsageError: one holds a secret; the message says where, and not what it is.
    """
    for where, place in places:
        kinds = FORMS_OF_URLS.items() if place is not None and "://" in place else ()
        if found := next((kind for kind, form in kinds if re.search(form, str(place))), None):
            raise UsageError(
                f"{where} holds {found}. Addresses are kept in what is written, logged and shown, so nothing was done. "
                "Give credentials by the usual variables, a profile or a role, or copy the file here first."
            )


def secrets_of(environment: Iterable[tuple[str, str]]) -> set[str]:
    """Return the values of variables whose names say that they are secret."""
    return {value for name, value in environment if re.search(TELLING_NAMES, name) and len(value) >= SHORTEST}
