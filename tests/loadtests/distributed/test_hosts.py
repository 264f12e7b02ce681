"""Tests of docs/distributed: its commands on three hosts, which are network namespaces, and its Kubernetes manifests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from chainproof.results.folder import Run, find_runs, read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending

from ..behaviours import fine

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "distributed.md").read_text(encoding="utf-8")
DOCKERFILE = (DOCS / "distributed" / "Dockerfile").read_text(encoding="utf-8")
MANIFESTS = [
    document
    for name in ("master.yaml", "workers.yaml")
    for document in yaml.safe_load_all((DOCS / "distributed" / name).read_text(encoding="utf-8"))
]
BY_KIND = {document["kind"]: document for document in MANIFESTS}
MASTER = BY_KIND["Job"]["spec"]["template"]["spec"]["containers"][0]
WORKER = BY_KIND["Deployment"]["spec"]["template"]["spec"]["containers"][0]
TOKEN = "a-token-for-tests-only"
HOSTS = ("master", "one", "two")
RunServer = Callable[..., Any]


# ------------------------------------------------------------------ the files


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: each["kind"])
def test_a_manifest_is_valid(manifest: Any) -> None:
    """Each manifest conforms to the published schema of the oldest and the newest version, which allows no unknown key."""
    import kubernetes_validate  # noqa: PLC0415  # slow to import

    for version in ("1.30.0", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_page_and_the_manifests_have_the_same_commands() -> None:
    """The commands for three hosts are those of the containers; with exec, a container's signals reach the worker."""
    shell, option, text = WORKER["command"]

    assert ("sh", "-c") == (shell, option)
    assert f"\n{shlex.join(MASTER['command'])}\n" in PAGE
    assert f"\n{text.removeprefix('exec ')}\n" in PAGE
    assert BY_KIND["Deployment"]["spec"]["replicas"] == int(MASTER["command"][MASTER["command"].index("--workers") + 1])


def test_the_manifests_fit_together() -> None:
    """Names, labels, ports and secrets that refer to each other are the same, and no secret is in a file."""
    service, policy, job, workers = (BY_KIND[kind] for kind in ("Service", "NetworkPolicy", "Job", "Deployment"))
    master_labels = job["spec"]["template"]["metadata"]["labels"]
    environments = [{each["name"]: each for each in container["env"]} for container in (MASTER, WORKER)]

    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == master_labels
    assert policy["spec"]["ingress"][0]["from"][0]["podSelector"] == workers["spec"]["selector"]
    assert workers["spec"]["template"]["metadata"]["labels"] == workers["spec"]["selector"]["matchLabels"]
    assert service["metadata"]["name"] == environments[1]["LOCUST_MASTER_NODE_HOST"]["value"]
    assert service["spec"]["ports"][0]["port"] == MASTER["ports"][0]["containerPort"] == 5557
    assert MASTER["image"] == WORKER["image"]
    assert f"docker build -t {MASTER['image']} " in PAGE
    for variables in environments:
        assert {"name": "chainproof", "key": "api-key"} == variables["BASETEN_API_KEY"]["valueFrom"]["secretKeyRef"]
        assert variables["CHAINPROOF_WORKER_TOKEN_FILE"]["value"].startswith("/run/secrets/chainproof/")


def test_the_workload_of_the_master_is_valid(tmp_path: Path) -> None:
    """The workload in the ConfigMap is one that the master accepts."""
    from chainproof.loadtests.catalogue import workload  # noqa: PLC0415  # here for its only use

    path = tmp_path / "workload.toml"
    path.write_text(BY_KIND["ConfigMap"]["data"]["workload.toml"])

    assert workload(str(path)).errors() == []


def copied_by_the_dockerfile() -> dict[str, str]:
    """What the Dockerfile copies from the checkout, with its places in the image."""
    copied = {}
    for sources, place in re.findall(r"^COPY (.+) (\S+)$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            copied[source] = f"{place}{source}" if place.endswith("/") else place
    return copied


def test_the_image_has_nothing_of_the_checkout_but_what_is_installed() -> None:
    """A checkout may also have run folders, and the file with the workers' token that the page creates."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {"chainproof", *project["tool"]["setuptools"]["package-dir"].values()}
    files = {"pyproject.toml", "constraints.txt", project["project"]["readme"], *project["project"]["license-files"]}

    assert {name: f"/src/{name}" for name in folders | files} == copied_by_the_dockerfile()


@pytest.mark.skipif(os.environ.get("CHAINPROOF_SAMPLE") != "all", reason="takes a minute: CHAINPROOF_SAMPLE=all")
def test_the_image_has_what_the_commands_need(tmp_path: Path) -> None:
    """What the Dockerfile installs has both commands and can write a report."""
    (install,) = re.findall(r"^RUN (pip install .*)$", DOCKERFILE, re.MULTILINE)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    scripts, source = tmp_path / "venv" / "bin", tmp_path / "src"
    source.mkdir()
    for name in copied_by_the_dockerfile():
        path = DOCS.parent / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        else:
            shutil.copy(path, source)
    subprocess.run(["sh", "-c", f"{scripts}/{install.replace('/src', str(source))}"], check=True)
    for command in (
        "chainproof loadtests --help",
        'locust -f "$(chainproof locustfile)" --version',
        "chainproof reports --help",
    ):
        subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path, env={"PATH": f"{scripts}:{os.environ['PATH']}"})


# ------------------------------------------------------------------ three hosts


@dataclass(slots=True)
class Network:
    """Three hosts with a bridge between them; the test itself is at the bridge's address."""

    name: str
    network: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The address of the bridge."""
        return f"{self.network}.1"

    def address_of(self, host: str) -> str:
        """The address of a host."""
        return f"{self.network}.{HOSTS.index(host) + 2}"

    def start(self, host: str, command: list[str], folder: Path, **variables: str) -> subprocess.Popen[str]:
        """Start a command on a host."""
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = subprocess.Popen(
            ["ip", "netns", "exec", f"{self.name}{host}", *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": paths, "HOME": str(folder), "BASETEN_API_KEY": "key", **variables},
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def connect(self, host: str, *, state: str = "up") -> None:
        """Connect a host to the bridge, or cut it off."""
        run_ip("link", "set", f"{self.name}{host[0]}", state)


def run_ip(*words: str) -> None:
    """Configure the network. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts that exist for one test."""
    name, number = f"cp{os.getpid() % 100_000}", os.getpid() % 200
    made = Network(name, f"198.18.{number}")  # RFC 2544: for tests of networks, never routed
    bridge = f"{name}b"
    try:
        run_ip("link", "add", bridge, "type", "bridge")
        run_ip("address", "add", f"{made.address}/24", "dev", bridge)
        run_ip("link", "set", bridge, "up")
        for host in HOSTS:
            space, link = f"{name}{host}", f"{name}{host[0]}"
            run_ip("netns", "add", space)
            run_ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            run_ip("link", "set", link, "master", bridge, "up")
            run_ip("-n", space, "address", "add", f"{made.address_of(host)}/24", "dev", "eth0")
            run_ip("-n", space, "link", "set", "eth0", "up")
            run_ip("-n", space, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        remove(made)
        pytest.skip(f"needs root and network namespaces: {error}")
    yield made
    remove(made)


def remove(network: Network) -> None:
    """End the processes of a network, and remove its hosts."""
    for process in network.processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ValueError):  # its output was read
            print(process.communicate()[0])  # pytest shows it if the test fails
    for words in (*(("netns", "del", f"{network.name}{host}") for host in HOSTS), ("link", "del", f"{network.name}b")):
        with suppress(OSError, subprocess.CalledProcessError):
            run_ip(*words)


def start(network: Network, port: int, folder: Path, duration: str) -> list[subprocess.Popen[str]]:
    """The processes of the page on three hosts."""
    (folder / "workload.toml").write_text(
        f'model = "open"\nrate = 60\nduration = "{duration}"\narrivals = "constant"\n'
    )
    (folder / "token").write_text(f"{TOKEN}\n")
    token = {"CHAINPROOF_WORKER_TOKEN_FILE": str(folder / "token"), "SSL_CERT_FILE": str(folder / "certificate.pem")}
    target = {"CHAINPROOF_TARGET": f"https://{network.address}:{port}"}
    master = network.start("master", MASTER["command"], folder, **target, **token)
    where = {"LOCUST_MASTER_NODE_HOST": network.address_of("master")}
    return [master, *(network.start(host, WORKER["command"], folder, **where, **token) for host in ("one", "two"))]


def certificate(network: Network, folder: Path) -> ssl.SSLContext:
    """A new certificate for the target, in the file that the hosts trust."""
    path = str(folder / "certificate.pem")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=target"]
    words += [
        "-days",
        "2",
        "-addext",
        f"subjectAltName=IP:{network.address}",
        "-keyout",
        path,
        "-out",
        f"{path}.public",
    ]
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=20)
    with Path(path).open("a") as both:
        both.write(Path(f"{path}.public").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def ended(network: Network, master: subprocess.Popen[str]) -> str:
    """The output of the master, which ends in time."""
    try:
        return master.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        for process in network.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        raise


def run_in(folder: Path) -> Run:
    """The run in a folder."""
    (path,) = find_runs(folder / "runs")
    return read_run(path)


def test_the_commands_of_the_page_work_on_three_hosts(network: Network, run_server: RunServer, tmp_path: Path) -> None:
    """Every planned request reaches the target once, half of them from each worker."""
    with run_server(fine, host=network.address, tls=certificate(network, tmp_path)) as server:
        master, *workers = start(network, server.port, tmp_path, "3s")
        output = ended(network, master)
        codes = [worker.wait(20) for worker in workers]
    assert (0, [0, 0]) == (master.returncode, codes), [output, *(worker.communicate()[0] for worker in workers)]
    run = run_in(tmp_path)
    sent = {name: sum(each.sent for each in run.intervals if each.worker == name) for name in "01"}

    assert run.end is not None
    assert (Ending.COMPLETED, {"0": 90, "1": 90}) == (run.end.ending, sent)
    assert 180 == len(server.requests) == run.end.accounting["ok"]


@pytest.mark.skipif(os.environ.get("CHAINPROOF_SAMPLE") != "all", reason="takes twenty seconds: CHAINPROOF_SAMPLE=all")
def test_a_worker_that_the_network_cuts_off_is_lost(network: Network, run_server: RunServer, tmp_path: Path) -> None:
    """A cut of one second is bridged. A lasting one makes the run invalid; every planned request is accounted for."""
    with run_server(fine, host=network.address, tls=certificate(network, tmp_path)) as server:
        master, *workers = start(network, server.port, tmp_path, "60s")
        give_up = time.monotonic() + 60
        while not any(path.read_bytes().count(b"\n") > 4 for path in tmp_path.glob("runs/*/intervals.jsonl")):
            assert master.poll() is None, master.communicate()[0]
            assert time.monotonic() < give_up
            time.sleep(0.1)
        network.connect("two", state="down")
        time.sleep(1.0)
        network.connect("two")
        time.sleep(4.5)
        early = [path.exists() for path in tmp_path.glob("runs/*/end.json")]
        network.connect("two", state="down")
        output = ended(network, master)
        workers[0].wait(20)
    run = run_in(tmp_path)
    cumulative = total(run.intervals)

    assert [] == early
    assert 4 == master.returncode, output
    assert run.end is not None
    (lost,) = run.end.lost_workers
    assert lost.why.startswith("no report for 5 s; it ran on ")
    assert f"Worker {lost.worker} did not report from" in " ".join(output.split())
    assert 3600 == cumulative.planned == cumulative.sent + cumulative.not_sent.total()
    assert cumulative.sent == sum(cumulative.outcomes.values())
