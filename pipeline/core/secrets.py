"""Refuses passwords and keys where others could read them: in a job's command line, in a dataset.

It recognises a secret by its form, or because this machine's environment holds it. No message repeats one.
"""

import re
from collections.abc import Collection, Iterable

from pipeline.core.errors import UsageError

URL_FORMS = {
    # `container@account` of Azure has no colon, and `host:9000/a@b` a port.
    "a password in a URL (user:password@)": r"://[^/@\s]*:(?!\d+(?:/|$))[^@\s]+@",
    "a user or token in a URL": r"https?://[^/?#@\s]+@",
    "a signature or key behind a URL": r"(?i)[?&](?:x-amz-(?:signature|credential|security-token)|awsaccesskeyid|"
    r"signature|sig|token|access_token|key|api_?key|secret|password)=",
}
"""Patterns of secrets in the address of a place, by description."""

FORMS = URL_FORMS | {
    "a secret by its name": r"(?i)(?:secret|password|passwd|access_?key|account_?key|api_?key|"
    r"auth_?token|session_?token)[\w-]*\s*[=:]\s*\S",
    "an access key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token of GitHub or Hugging Face": r"\b(?:gh[pousr]_\w{30,}|github_pat_\w{30,}|hf_\w{30,})",
}
"""Patterns of secrets in any text, by description."""

TELLTALE_NAMES = r"(?i)(?:SECRET|TOKEN|PASSWORD|PASSWD|ACCESS_KEY(?!_ID)|ACCOUNT_KEY|API_KEY)"
"""Occurs in the name of an environment variable whose value is a secret."""

MIN_LENGTH = 8
"""Characters of a secret; a shorter value may occur in any text by chance."""


def check_no_secrets(texts: Iterable[tuple[str, str]], known: Collection[str]) -> None:
    """Refuse to send a secret.

    Args:
        texts: what the command would send, each with the name of where the user gave it.
        known: secrets of this process; those shorter than `MIN_LENGTH` do not count.

    Raises:
        UsageError: a text holds a secret; the message says where, without repeating it.
    """
    for where, text in texts:
        found = next((kind for kind, form in FORMS.items() if re.search(form, text)), None)
        if found is None and any(secret in text for secret in known if len(secret) >= MIN_LENGTH):
            found = "a secret of this machine's environment"
        if found is not None:
            raise UsageError(
                f"{where} holds {found}, which anyone who sees the cluster's dashboard could read; nothing was sent. "
                "Give the cluster's machines credentials of their own (an instance role, a secret of Kubernetes), and "
                "leave it out here."
            )


def refuse_credentials(places: Iterable[tuple[str, str | None]]) -> None:
    """Refuse addresses that hold a secret: datasets and models store them, logs and pages show them.

    Args:
        places: paths and URLs, each with the name of where the user gave it.

    Raises:
        UsageError: an address holds a secret; the message says where, without repeating it.
    """
    for where, place in places:
        kinds = URL_FORMS.items() if place is not None and "://" in place else ()
        if found := next((kind for kind, form in kinds if re.search(form, str(place))), None):
            raise UsageError(
                f"{where} holds {found}. Addresses are kept in what is written, logged and shown, so nothing was done. "
                "Give credentials by the usual variables, a profile or a role, or copy the file here first."
            )


def secrets_of(environment: Iterable[tuple[str, str]]) -> set[str]:
    """Return the values of the variables whose names mark them as secret."""
    return {value for name, value in environment if re.search(TELLTALE_NAMES, name) and len(value) >= MIN_LENGTH}
