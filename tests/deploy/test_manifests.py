"""What is in `deploy/` is what Kubernetes, KubeRay, Ray and our own commands accept; it takes no cluster to see it."""

import copy
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from pipeline.cluster.session import SHUTDOWN_S
from pipeline.storage.retry import RetryPolicy
from tests import ROOT
from tests.helpers.manifests import (
    CRDS,
    DEPLOY,
    ENTRYPOINT,
    SECRETS,
    Document,
    commands,
    containers,
    find_command_fault,
    find_rule_faults,
    find_schema_faults,
    load_documents,
    nodes,
    references,
    render_kustomization,
)

FOLDERS = sorted(path.parent for path in DEPLOY.glob("kuberay/*/kustomization.yaml"))
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())

needs_crds = pytest.mark.skipif(not CRDS.exists(), reason="KubeRay's schemas are not beside the repository")
needs_jobs = pytest.mark.skipif(not (ROOT / "jobs").exists(), reason="the jobs are not there yet")


def of_kind(folder: str, kind: str) -> Document:
    """One document of a rendered folder."""
    (found,) = [one for one in render_kustomization(DEPLOY / "kuberay" / folder) if one["kind"] == kind]
    return found


def ray_documents() -> list[Document]:
    """What KubeRay is given, of all folders."""
    return [one for folder in FOLDERS for one in render_kustomization(folder) if one["apiVersion"] == "ray.io/v1"]


def instructions(name: str) -> list[str]:
    """What stands after one instruction of the Dockerfile, wherever it is used."""
    whole = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return re.findall(rf"^{name} (.+)$", whole, re.MULTILINE)


def test_the_three_ways_are_there() -> None:
    """A cluster that stays, one night, every night."""
    assert [one["kind"] for one in ray_documents()] == ["RayCluster", "RayCronJob", "RayJob"]


@needs_crds
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kuberay_knows_every_field(folder: Path) -> None:
    """Nothing is refused, and nothing silently dropped."""
    for document in render_kustomization(folder):
        if document["apiVersion"] == "ray.io/v1":
            assert find_schema_faults(document) == []
        elif document["kind"] == "NetworkPolicy":
            assert find_rule_faults(document) == []


@needs_crds
def test_a_wrong_field_is_found() -> None:
    """Misspelt, of the wrong type, or of no known choice: the checks above can fail."""
    spoilt = copy.deepcopy(of_kind("one-night", "RayJob"))
    spec = spoilt["spec"]
    spec["shutdownAfterJobFinish"] = spec.pop("shutdownAfterJobFinishes")
    spec["rayClusterSpec"]["authOptions"]["mode"] = "tokens"
    spec["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"] = "two"
    spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image_pull_policy"] = "Always"
    told = "\n".join(find_schema_faults(spoilt))
    for wrong in ("'shutdownAfterJobFinish'", "'tokens'", "'two'", "'image_pull_policy'"):
        assert wrong in told
    policy = copy.deepcopy(of_kind("one-night", "RayJob"))
    policy["spec"] = {"ingress": [{"from": [{"pods": {}}]}]}
    assert "'pods' was unexpected" in find_rule_faults(policy)[0]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kustomize_puts_together_the_same(folder: Path) -> None:
    """What these tests look at is what `kubectl apply -k` sends."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    told = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, check=True, timeout=60).stdout
    theirs = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(told)}
    assert theirs == {(one["kind"], one["metadata"]["name"]): one for one in render_kustomization(folder)}


@needs_jobs
def test_commands_are_jobs() -> None:
    """Each module that a manifest or the page runs is there."""
    lines = [line for one in ray_documents() for line in commands(one)]
    names = re.findall(r"python -m jobs\.(\w+)", "\n".join([*lines, README]))
    assert names
    for name in names:
        assert (ROOT / "jobs" / f"{name}.py").exists()


def test_commands_are_understood() -> None:
    """Our own parser takes every command line of the manifests and of the page, options, values and all."""
    lines = [line for one in ray_documents() for line in commands(one)]
    assert len(lines) == 2
    assert all(line.startswith(f"{ENTRYPOINT} ") for line in lines)  # else KubeRay would repeat wrong usage
    told = re.findall(r"(python -m jobs\.[^\n`']+)", README)
    assert [fault for fault in map(find_command_fault, [*lines, *told]) if fault] == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("python -m jobs.score s3://a --out s3://b --adress auto", "No such option"),
        ("python -m jobs.score s3://a --address auto", "Missing option '--out'"),
        ("python -m jobs.score s3://a --out s3://b --actors many", "Invalid value for '--actors'"),
        ("crackscan score s3://a --out s3://b", "no job of ours"),
    ],
)
def test_a_wrong_command_is_found(wrong: str, told: str) -> None:
    """The check above can fail."""
    assert told in (find_command_fault(wrong) or "")


def test_what_is_referred_to_is_there() -> None:
    """Secrets, settings and accounts are defined beside, or the page says how to make them."""
    for folder in FOLDERS:
        documents = render_kustomization(folder)
        defined = {(one["kind"], one["metadata"]["name"]) for one in documents}
        named = {reference for one in documents for reference in references(one)}
        assert named or folder.name == "watched"
        for kind, name in named - defined:
            assert f"`{name}`" in README, f"{kind} {name}"


def test_only_the_driver_can_write() -> None:
    """What decodes hostile photos has keys that read."""
    spec = of_kind("cluster", "RayCluster")["spec"]
    assert ("Secret", "crackscan-s3") in references(spec["headGroupSpec"])
    for group in spec["workerGroupSpecs"]:
        assert {name for kind, name in references(group) if kind == "Secret"} == {"crackscan-s3-read"}


def test_there_is_one_image_and_one_place_for_it() -> None:
    """All containers run it, under a fixed tag."""
    (rules,) = load_documents(DEPLOY / "kuberay" / "cluster" / "kustomization.yaml")
    (image,) = rules["images"]
    used = {container["image"] for one in ray_documents() for container in containers(one)}
    assert used == {f"{image['newName']}:{image['newTag']}"}
    (aws,) = load_documents(DEPLOY / "aws.yaml")
    for name in (*used, aws["docker"]["image"], *re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)):
        assert re.search(r":\d[\w.-]*$", name), name


def test_resources_are_real_and_the_same_as_limits() -> None:
    """A misspelt GPU would wait for ever; memory beyond the request would be taken from a neighbour's night."""
    for document in ray_documents():
        for container in containers(document):
            asked, limit = container["resources"]["requests"], container["resources"]["limits"]
            assert asked.keys() <= {"cpu", "memory", "nvidia.com/gpu"}
            assert asked.keys() == limit.keys()
            assert asked["memory"] == limit["memory"]
            assert asked.get("nvidia.com/gpu") == limit.get("nvidia.com/gpu")


def test_sizes_are_fixed_and_only_workers_are_spot() -> None:
    """Crackscan counts at its start; the driver's machine must stay."""
    spec = of_kind("cluster", "RayCluster")["spec"]
    assert "enableInTreeAutoscaling" not in spec
    for group in spec["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
        assert group["template"]["spec"]["tolerations"]
    assert "tolerations" not in spec["headGroupSpec"]["template"]["spec"]
    (aws,) = load_documents(DEPLOY / "aws.yaml")
    for name, kind in aws["available_node_types"].items():
        is_head = name == aws["head_node_type"]
        assert is_head == ("InstanceMarketOptions" not in kind["node_config"])
        assert is_head or kind["min_workers"] == kind["max_workers"]


def test_a_stopped_night_has_time_to_commit() -> None:
    """Longer than storage is tried and Ray takes to end; and the next night comes later."""
    pod = of_kind("cluster", "RayCluster")["spec"]["headGroupSpec"]["template"]["spec"]
    environment = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    stop_s = int(environment["RAY_JOB_STOP_WAIT_TIME_S"])
    assert RetryPolicy().limit_s + SHUTDOWN_S < stop_s <= pod["terminationGracePeriodSeconds"]
    assert of_kind("every-night", "RayCronJob")["spec"]["jobTemplate"]["activeDeadlineSeconds"] < 86_400


def test_the_object_store_fits_its_memory() -> None:
    """The shared memory is as large as Ray is told, and a part of what the pod may take."""
    spec = of_kind("cluster", "RayCluster")["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        (volume,) = [one for one in group["template"]["spec"]["volumes"] if one["name"] == "shared-memory"]
        assert volume["emptyDir"]["medium"] == "Memory"
        shared_gib = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
        memory_gib = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].removesuffix("Gi"))
        assert int(group["rayStartParams"]["object-store-memory"]) >> 30 < shared_gib < memory_gib / 2


def test_pods_have_no_more_rights_than_they_need() -> None:
    """No root, no new privileges, no writable image, no access to Kubernetes; the label by which they are shut in."""
    for document in ray_documents():
        pods = [
            value for _, value in nodes(document) if isinstance(value, dict) and "containers" in value.get("spec", {})
        ]
        assert pods
        for pod in pods:
            assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "crackscan"
            assert pod["spec"]["securityContext"]["runAsNonRoot"]
            assert pod["spec"]["automountServiceAccountToken"] is False
            for container in pod["spec"]["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }


def test_ray_is_shut_to_others() -> None:
    """Only its own pods reach it, and the operator at 8265; a token is asked for; AWS groups are not Ray's open one."""
    policies = [
        one["spec"] for one in render_kustomization(DEPLOY / "kuberay" / "one-night") if one["kind"] == "NetworkPolicy"
    ]
    (rules,) = [one["ingress"] for one in policies if one["policyTypes"] == ["Ingress"]]
    ours, operator = rules
    label = {"matchLabels": {"app.kubernetes.io/part-of": "crackscan"}}
    assert all(one["podSelector"] == label for one in policies)
    assert ours == {"from": [{"podSelector": label}]}
    assert [one.keys() for one in operator["from"]] == [{"namespaceSelector", "podSelector"}]
    assert [one["port"] for one in operator["ports"]] == [8265]
    for document in ray_documents():
        assert [value for key, value in nodes(document) if key == "authOptions"] == [{"mode": "token"}]
        assert not [
            key for key, _ in nodes(document) if key in {"enableIngress", "hostNetwork", "hostPort", "privileged"}
        ]
        assert {value for key, value in nodes(document) if key == "serviceType"} == {"ClusterIP"}
    (aws,) = load_documents(DEPLOY / "aws.yaml")
    assert all(kind["node_config"]["SecurityGroupIds"] for kind in aws["available_node_types"].values())
    assert "--env=RAY_AUTH_MODE=token" in aws["docker"]["run_options"]
    assert re.findall(r"--dashboard-host=(\S+)", " ".join(aws["head_start_ray_commands"])) == ["127.0.0.1"]


def blocks(rule: Document) -> list[IPv4Network | IPv6Network]:
    """The addresses of a rule."""
    return [ip_network(each["ipBlock"]["cidr"]) for each in rule["to"] if "ipBlock" in each]


def reaches(rules: list[Document], address: str, port: int) -> bool:
    """Tell whether rules let a pod reach an address beside its own cluster's."""
    place = ip_address(address)
    for rule in rules:
        if all(each["port"] != port for each in rule.get("ports", [])):
            continue
        for to in rule.get("to", []):
            block = to.get("ipBlock")
            if block and place in ip_network(block["cidr"]):
                return not any(place in ip_network(each) for each in block.get("except", []))
    return False


PUBLIC = ("52.219.170.10", "2a05:d050:4040::1")
CLOSED = ("10.0.0.10", "172.20.0.1", "192.168.1.5", "100.64.3.2", "169.254.169.254", "169.254.170.23", "fd00:ec2::254",
          "fd12:3456::1", "fe80::1")  # fmt: skip
"""Pods, services, machines, and what hands out credentials."""
AGENTS = {
    "eks-pod-identity": {("169.254.170.23", 80), ("fd00:ec2::23", 80)},
    "gke-workload-identity": {("169.254.169.252", 988), ("169.254.169.254", 80)},
    "private-store": {("192.0.2.10", 443)},
}
"""What each further file opens."""


def egress_of(documents: list[Document]) -> list[Document]:
    """The rules for what pods may reach."""
    return [
        rule
        for one in documents
        if one["kind"] == "NetworkPolicy" and "Egress" in one["spec"]["policyTypes"]
        for rule in one["spec"]["egress"]
    ]


def test_pods_reach_public_stores_and_no_neighbours() -> None:
    """By https; neither what is in the cluster, nor the credentials of the machine."""
    rules = egress_of(render_kustomization(DEPLOY / "kuberay" / "cluster"))
    assert all(reaches(rules, address, 443) for address in PUBLIC)
    assert not [(address, port) for address in CLOSED for port in (80, 443, 988) if reaches(rules, address, port)]
    assert not [port for port in (22, 80, 9000) if reaches(rules, PUBLIC[0], port)]


@needs_crds
@pytest.mark.parametrize("name", AGENTS)
def test_each_further_rule_opens_one_thing(name: str) -> None:
    """Single addresses and their ports, for our pods; it says when it is needed, and the page how to add it."""
    path = DEPLOY / "kuberay" / "reach" / f"{name}.yaml"
    (policy,) = load_documents(path)
    assert find_rule_faults(policy) == []
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/part-of": "crackscan"}}
    assert policy["spec"]["policyTypes"] == ["Egress"]
    rules = policy["spec"]["egress"]
    assert all(block.num_addresses == 1 for rule in rules if "to" in rule for block in blocks(rule))
    opened = {(str(block[0]), one["port"]) for rule in rules for block in blocks(rule) for one in rule["ports"]}
    assert opened == AGENTS[name]
    assert path.read_text(encoding="utf-8").startswith("# For ")
    assert f"apply -f deploy/kuberay/reach/{name}.yaml" in README


def test_every_further_rule_is_looked_at() -> None:
    """By the test above."""
    assert {path.stem for path in (DEPLOY / "kuberay" / "reach").iterdir()} == AGENTS.keys()


def test_prometheus_reads_metrics_and_reaches_nothing_else() -> None:
    """Its monitor finds our pods by the port that KubeRay names, and the rule beside it opens that port alone."""
    monitor, policy = render_kustomization(DEPLOY / "kuberay" / "watched")
    label = {"matchLabels": {"app.kubernetes.io/part-of": "crackscan"}}
    assert (monitor["kind"], monitor["spec"]["selector"], policy["spec"]["podSelector"]) == ("PodMonitor", label, label)
    assert [one["port"] for one in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert [one.keys() for one in rule["from"]] == [{"namespaceSelector"}]
    for document in ray_documents():  # KubeRay's own choice of that port stands only where nobody makes another
        assert not [key for key, _ in nodes(document) if key in {"metrics-export-port", "containerPort"}]


def test_ray_knows_every_field_of_aws() -> None:
    """The file is what Ray's own schema asks for, and one wrong key is not."""
    origin = (importlib.util.find_spec("ray") or pytest.fail("Ray is a dependency")).origin
    told = json.loads((Path(str(origin)).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    (aws,) = load_documents(DEPLOY / "aws.yaml")
    assert [error.message for error in Draft7Validator(told).iter_errors(aws)] == []
    aws["available_node_types"]["cpu"]["min_worker"] = 2
    assert "'min_worker'" in next(Draft7Validator(told).iter_errors(aws)).message


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_written_down(path: Path) -> None:
    """Keys come from a secret of the cluster, by name."""
    assert SECRETS.search(path.read_text(encoding="utf-8")) is None


@pytest.mark.parametrize(
    "planted",
    [
        "AWS_ACCESS_KEY_ID: " + "AKIA" + "IOSFODNN7EXAMPLE",
        "value: x # aws_secret_access_key=" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "kind: Secret\ndata: {}",
        "RAY_AUTH_TOKEN: " + "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "AWS_ENDPOINT_URL: https://user:" + "hunter2@storage.example",
    ],
)
def test_a_planted_secret_is_found(planted: str) -> None:
    """The check above can fail."""
    assert SECRETS.search(planted)


def test_the_image_is_built_of_what_is_there() -> None:
    """Every COPY finds its source, past .dockerignore; the jobs and the package are in the wheel."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    sources = [words[:-1] for words in (line.split() for line in instructions("COPY")) if "--from=builder" not in words]
    names = {name for words in sources for name in words if not name.startswith("--")}
    assert {"pyproject.toml", "pipeline", "jobs", "deploy/drain.sh"} <= names
    assert all(f"!{name}" in ignored for name in names)
    assert all((ROOT / name).exists() for name in names - {"jobs"})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"pipeline", "jobs"} <= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_the_image_runs_without_root_and_comes_from_no_fixed_place() -> None:
    """Its user is a number, which Kubernetes can check; no index has its address here; no tag moves."""
    assert instructions("USER")[-1] == "1000:1000"
    assert DOCKERFILE.rindex("\nUSER ") > DOCKERFILE.rindex("\nRUN ")
    assert set(instructions("FROM")) == {"${PYTHON_IMAGE} AS builder", "${PYTHON_IMAGE}"}
    assert {'PIP_INDEX=""', 'TORCH_INDEX=""'} <= set(instructions("ARG"))
    assert "://" not in DOCKERFILE
    assert "latest" not in DOCKERFILE


def test_image_and_cluster_have_one_ray() -> None:
    """The operator chooses its probes and refuses tokens by the version it is told."""
    told = {value for one in ray_documents() for key, value in nodes(one) if key == "rayVersion"}
    assert told == set(re.findall(r"^ray==(\S+)", (DEPLOY / "requirements.lock").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", [DEPLOY / "README.md", ROOT / "docs" / "security.md"], ids=lambda page: page.name)
def test_pages_name_what_is_there(page: Path) -> None:
    """Their links lead somewhere; the modules that claims are looked up in, and the files of the table, exist."""
    text = page.read_text(encoding="utf-8")
    for place in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert (page.parent / place).exists(), place
    for words in re.findall(r"\((`[a-z_0-9]+[`.][^)]*)\)", text):
        for name in re.findall(r"`([a-z_0-9]+)(?:\.\w+)?`", words):
            assert [*(ROOT / "pipeline").glob(f"*/{name}.py"), *(ROOT / "tests").glob(f"**/{name}.py")], name


DRIVER = """
import pathlib, signal, sys, time
asked = []
def note(*_):
    asked.append(True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGINT, note)
print("working", flush=True)
while not asked:
    time.sleep(0.05)
print("committing", flush=True)
time.sleep(1.5)
sys.exit(4)
"""
"""Takes signals as `interrupt` does, and some time to commit."""


@pytest.mark.skipif(sys.platform != "linux", reason="containers have a /proc")
@pytest.mark.parametrize("asked_before", [False, True])
def test_a_machine_that_goes_lets_its_driver_commit(tmp_path: Path, *, asked_before: bool) -> None:
    """The hook asks each driver once, unless somebody has, waits for it, and leaves other processes alone."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()  # else the project's own jobs would be found first
    (tmp_path / "jobs" / "score.py").write_text(DRIVER, encoding="utf-8")
    driver = [sys.executable, "-m", "jobs.score", "s3://inspections/"]
    shell = ["sh", "-c", "read line # python -m jobs.score"]
    with (
        subprocess.Popen(driver, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as working,
        subprocess.Popen(shell, stdin=subprocess.PIPE) as other,
    ):
        assert working.stdout is not None
        assert working.stdout.readline() == "working\n"
        if asked_before:
            working.send_signal(signal.SIGINT)
            assert working.stdout.readline() == "committing\n"
        (tmp_path / "proc").mkdir()
        for process in (working, other):
            (tmp_path / "proc" / str(process.pid)).symlink_to(f"/proc/{process.pid}")
        subprocess.run(["sh", str(DEPLOY / "drain.sh"), str(tmp_path / "proc")], check=True, timeout=30)
        assert (working.poll(), other.poll()) == (4, None)
        other.kill()
