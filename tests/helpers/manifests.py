"""Reads `deploy/` as Kubernetes and Ray do, and finds its faults."""

import copy
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml
from jsonschema import Draft7Validator

from tests import ROOT

DEPLOY = ROOT / "deploy"
CRDS = ROOT.parent / "shared" / "schemas" / "kuberay"
"""KubeRay's own definitions; they are not part of the repository."""

ENTRYPOINT = "crackscan-entrypoint"
"""What the image calls `deploy/entrypoint.sh`."""

Document = dict[str, Any]


class Reference(NamedTuple):
    """Something that a pod needs from another file."""

    kind: str
    name: str


def load_documents(path: Path) -> list[Document]:
    """Read a YAML file of one or more documents."""
    return list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def render_kustomization(folder: Path) -> list[Document]:
    """Render a folder as `kubectl kustomize` does, limited to what our files use."""
    found = _accumulate(folder)
    return [one for one in found if "config.kubernetes.io/local-config" not in one["metadata"].get("annotations", {})]


def _accumulate(folder: Path) -> list[Document]:
    (rules,) = load_documents(folder / "kustomization.yaml")
    assert rules.keys() <= {"apiVersion", "kind", "resources", "images", "patches", "replacements"}
    found = list[Document]()
    for name in rules["resources"]:
        found += _accumulate(folder / name) if (folder / name).is_dir() else load_documents(folder / name)
    for image in rules.get("images", []):
        for container in (one for document in found for one in containers(document)):
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    for patch in rules.get("patches", []):
        for step in yaml.safe_load(patch["patch"]):
            assert (step["op"], step["path"]) == ("add", "/metadata/annotations")
            _find_kind(found, patch["target"]["kind"])["metadata"]["annotations"] = step["value"]
    for rule in rules.get("replacements", []):
        value = _get_path(_find_kind(found, rule["source"]["kind"]), rule["source"]["fieldPath"])
        for target in rule["targets"]:
            for path in target["fieldPaths"]:
                parent, _, last = path.rpartition(".")
                _get_path(_find_kind(found, target["select"]["kind"]), parent)[last] = copy.deepcopy(value)
    return found


def _find_kind(documents: list[Document], kind: str) -> Document:
    (found,) = [one for one in documents if one["kind"] == kind]
    return found


def _get_path(value: Any, path: str) -> Any:  # noqa: ANN401 - any part of a document
    for step in path.split("."):
        value = value[int(step) if step.isdigit() else step]
    return value


def nodes(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Walk over all keys and their values, at any depth."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield str(key), child
        yield from nodes(child)


def containers(document: Document) -> list[Document]:
    """List the containers of all pods of a document."""
    return [one for key, value in nodes(document) if key in {"containers", "initContainers"} for one in value]


@cache
def schema(kind: str) -> Document:
    """Return KubeRay's schema of a kind, made to refuse unknown fields."""
    (crd,) = load_documents(CRDS / f"ray.io_{kind.lower()}s.yaml")
    (version,) = [one for one in crd["spec"]["versions"] if one["name"] == "v1"]
    found: Document = _make_strict(version["schema"]["openAPIV3Schema"])
    found["properties"]["metadata"] = {"type": "object"}  # Kubernetes itself checks it, for every kind
    return found


def _make_strict(value: Any) -> Any:  # noqa: ANN401
    """Refuse unknown fields, which OpenAPI ignores and Kubernetes silently drops."""
    if isinstance(value, list):
        return [_make_strict(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _make_strict(one) for key, one in value.items()}
    closed = "additionalProperties" not in value and not value.get("x-kubernetes-preserve-unknown-fields")
    if value.get("type") == "object" and closed:
        found["additionalProperties"] = False
    return found


def find_schema_faults(document: Document) -> list[str]:
    """List what KubeRay would refuse or drop."""
    return _validate(schema(document["kind"]), document)


def find_rule_faults(policy: Document) -> list[str]:
    """List the faults in the rules of a NetworkPolicy, of which KubeRay's schema has a copy."""
    rules = _get_path(schema("RayCluster"), "properties.spec.properties.networkPolicy.properties.head.properties")
    faults = _validate(rules["ingressRules"], policy["spec"].get("ingress", []))
    return faults + _validate(rules["egressRules"], policy["spec"].get("egress", []))


def _validate(schema: Document, value: Any) -> list[str]:  # noqa: ANN401
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(value)]


def commands(document: Document) -> list[str]:
    """List the commands of jobs."""
    return [value for key, value in nodes(document) if key == "entrypoint"]


def find_command_fault(line: str) -> str | None:
    """Return the fault of a command line, as our own parser reports it; None if it is valid."""
    words = shlex.split(line.removeprefix(f"{ENTRYPOINT} "))
    name = words[2].removeprefix("jobs.") if words[:2] == ["python", "-m"] and words[2].startswith("jobs.") else None
    if name is None:
        return f"no job of ours: {line}"
    command: click.Command = importlib.import_module(f"pipeline.cli.{name}").command
    try:
        command.make_context(name, words[3:])
    except click.UsageError as error:
        return error.format_message()
    return None


def references(document: Document) -> set[Reference]:
    """List the secrets, settings and accounts that a document names."""
    kinds = {"secretRef": "Secret", "secretKeyRef": "Secret", "configMapRef": "ConfigMap", "configMap": "ConfigMap"}
    found = {Reference(kinds[key], value["name"]) for key, value in nodes(document) if key in kinds}
    found |= {Reference("Secret", value["secretName"]) for key, value in nodes(document) if key == "secret"}
    return found | {Reference("ServiceAccount", value) for key, value in nodes(document) if key == "serviceAccountName"}


SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|PRIVATE KEY-----|^kind: Secret$"
    r"|(?:secret|password|token|access_key)\w*[\"']?\s*[:=]\s*[\"']?(?=[^\s\"']*\d)[A-Za-z0-9/+=_-]{16,}"
    r"|://[^/\s:@]+:[^/\s:@]+@",
    re.IGNORECASE | re.MULTILINE,
)
"""Patterns of keys in plain text: known forms, or a long word with a digit after a revealing name."""
