"""What the doctor looks at on this machine. Nothing is sent."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import groupby
from pathlib import Path

from chainproof.contract.credentials import ApiKeyError, load_key
from chainproof.errors import UsageError
from chainproof.results.run_writer import DEFAULT_ROOT, check_writable

from .diagnosis import Diagnosis, missing, not_checked, ok, risk

TESTED_PYTHONS = ((3, 11), (3, 13))
"""The oldest and newest minor version that chainproof is tested with."""
ENOUGH_FILES = 4096
"""Open files: by default a load test has up to 1,000 requests in flight, each with a connection."""
ENOUGH_PORTS = 10_000
TIME_WAIT = 60
"""Seconds for which Linux keeps the port of a closed connection (TCP_TIMEWAIT_LEN)."""
MAX_STEAL = 0.01
MIN_FREE = 1 << 30
"""Bytes of free disk. A day of load at 200 requests per second takes less."""
MIN_FREE_AT_ALL = 50 << 20

ReadText = Callable[[str], str]
"""Reads a file of the kernel. Raises OSError."""


def read_text(path: str) -> str:
    """The text of a file."""
    return Path(path).read_text(encoding="ascii", errors="replace")


def machine(key_variable: str, environment: Mapping[str, str], read: ReadText = read_text) -> Iterator[Diagnosis]:
    """Everything about this machine."""
    yield python(sys.version_info[:2], platform.python_implementation())
    yield from extras(requires("chainproof") or [], _installed_version)
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield address_space(resource.getrlimit(resource.RLIMIT_AS)[0])
    yield ports(read)
    yield cores(len(os.sched_getaffinity(0)), os.getloadavg()[0], read)
    yield frequency(read)
    yield steal(read)
    yield key(key_variable, environment)
    yield run_folder(DEFAULT_ROOT)
    yield disk(shutil.disk_usage(Path.cwd()).free)


def python(found: tuple[int, int], implementation: str) -> Diagnosis:
    """The Python that runs this."""
    text = f"{implementation} {found[0]}.{found[1]}"
    oldest, newest = (".".join(map(str, each)) for each in TESTED_PYTHONS)
    if implementation != "CPython" or not TESTED_PYTHONS[0] <= found <= TESTED_PYTHONS[1]:
        return risk("python", text, f"chainproof is tested with CPython {oldest} to {newest}: use one of these")
    return ok("python", text)


# ------------------------------------------------------------------ packages

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(?:>=\s*(?P<bound>[\d.]+))?[^;]*(?:;.*extra == [\"'](?P<extra>\w+)[\"'])?"
)
_NOT_FOR_USERS = ("all", "tests")
"""Extras without packages of their own, and of the tests of chainproof itself."""


def extras(requirements: list[str], installed: Callable[[str], str | None]) -> Iterator[Diagnosis]:
    """The packages of chainproof and of each extra, with their lower bounds."""
    found = [match for each in requirements if (match := _REQUIREMENT.match(each)) is not None]
    by_extra = groupby(sorted(found, key=_extra_of), key=_extra_of)
    for extra, matches in by_extra:
        if extra in _NOT_FOR_USERS:
            continue
        rows = [(match["name"], match["bound"], installed(match["name"])) for match in matches]
        yield _extra(f"extra {extra}" if extra else "packages", extra, rows)


def _extra_of(match: re.Match[str]) -> str:
    return match["extra"] or ""


def _extra(name: str, extra: str, rows: list[tuple[str, str | None, str | None]]) -> Diagnosis:
    """Whether the packages of an extra are installed, and new enough."""
    install = f"install them with: pip install 'chainproof[{extra}]'" if extra else "install chainproof again"
    old = [
        f"{each} {found}, expected {bound} or newer" for each, bound, found in rows if found and _is_older(found, bound)
    ]
    if old:
        return missing(name, "; ".join(old), install)
    absent = [each for each, _, found in rows if found is None]
    if absent:
        text = f"not installed: {', '.join(absent)}"
        return not_checked(name, text, install) if extra else missing(name, text, install)
    return ok(name, ", ".join(f"{each} {found}" for each, _, found in rows))


def _is_older(found: str, bound: str | None) -> bool:
    """Whether a version is below a lower bound; compares the leading numbers, which is enough for releases."""
    return bound is not None and _numbers(found) < _numbers(bound)


def _numbers(text: str) -> list[int]:
    """The numbers of a release, without zeros at the end."""
    release = re.match(r"[\d.]+", text)
    numbers = [int(part) for part in release[0].split(".") if part] if release else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def _installed_version(name: str) -> str | None:
    """The version of an installed package; None without it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


# ------------------------------------------------------------------ limits of the system


def open_files(hard_limit: int) -> Diagnosis:
    """The limit of open files, to which chainproof raises its own."""
    name = "open files"
    if hard_limit in (resource.RLIM_INFINITY, -1):
        return ok(name, "no limit")
    if hard_limit < ENOUGH_FILES:
        return risk(
            name,
            f"at most {hard_limit}, so about {max(hard_limit - 64, 0)} requests in flight",
            f"raise the hard limit: ulimit -Hn {ENOUGH_FILES}, or LimitNOFILE= in systemd, or --ulimit nofile= in Docker",
        )
    return ok(name, f"at most {hard_limit}")


def address_space(limit: int) -> Diagnosis:
    """The limit of address space."""
    if limit == resource.RLIM_INFINITY:
        return ok("address space", "no limit")
    return risk(
        "address space",
        f"{limit >> 20} MiB",
        "HTML reports cannot draw charts, and threads need much: `ulimit -v unlimited`",
    )


def ports(read: ReadText) -> Diagnosis:
    """The ports for outgoing connections: one is used up for a minute by each connection that this side closes."""
    name = "ports"
    try:
        low, high = map(int, read("/proc/sys/net/ipv4/ip_local_port_range").split())
    except (OSError, ValueError):
        return not_checked(name, "the range of local ports cannot be read")
    count = max(high - low + 1, 0)
    text = f"{count} local ports, enough for {count // TIME_WAIT} new connections per second to one address"
    if count < ENOUGH_PORTS:
        return risk(name, text, "widen the range: sysctl net.ipv4.ip_local_port_range='15000 65000'")
    return ok(name, text)


def cores(usable: int, load: float, read: ReadText) -> Diagnosis:
    """The CPU cores that this process may use, and how busy the machine is."""
    name = "cpu"
    quota = _cpu_quota(read)
    available = usable if quota is None else min(usable, quota)
    text = f"{available:g} cores, load {load:.1f}"
    if available < 2:
        return risk(name, text, "use a machine with at least 2 cores: with one, generator and system delay each other")
    if load > available / 2:
        return risk(name, text, "end other programs: they delay requests and the reading of answers")
    return ok(name, text)


def _cpu_quota(read: ReadText) -> float | None:
    """The number of cores that the control group of this process allows; None without a limit."""
    try:
        quota, period = read("/sys/fs/cgroup/cpu.max").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # no control group, or "max"


def frequency(read: ReadText) -> Diagnosis:
    """Whether the clock frequency of the CPU changes with its load."""
    name = "cpu frequency"
    try:
        governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    except OSError:
        return not_checked(name, "this machine does not show it, as is usual in virtual machines")
    if governor != "performance":
        return risk(
            name,
            f"governor {governor}: the clock slows down between requests",
            "for times below 10 ms: cpupower frequency-set -g performance",
        )
    return ok(name, f"governor {governor}")


def steal(read: ReadText) -> Diagnosis:
    """The share of CPU time that the host gave to other virtual machines (field steal of proc_stat(5))."""
    name = "cpu steal"
    try:
        times = [int(each) for each in read("/proc/stat").split("\n", 1)[0].split()[1:9]]
        share = times[7] / sum(times)
    except (OSError, ValueError, IndexError, ZeroDivisionError):
        return not_checked(name, "/proc/stat cannot be read")
    text = f"{share:.2%} since the machine was started"
    if share > MAX_STEAL:
        return risk(name, text, "use a machine with dedicated cores: the host takes this one's time for others")
    return ok(name, text)


# ------------------------------------------------------------------ key and files


def key(variable: str, environment: Mapping[str, str]) -> Diagnosis:
    """Whether a key is set and well-formed. Nothing of it is shown, not even its length."""
    try:
        load_key(environment, variable)
    except ApiKeyError as error:
        found, _, remedy = str(error).partition(": ")
        return missing("key", found, remedy)
    return ok("key", f"{variable} is set and well-formed; use --request to see whether the target accepts it")


def run_folder(root: Path) -> Diagnosis:
    """Whether a run folder can be written."""
    name = "run folder"
    try:
        check_writable(root / "chainproof-doctor")
    except UsageError as error:
        return missing(name, str(error), "change to a folder that you can write to, or name one with --out")
    return ok(name, f"{root}/ can be written")


def disk(free: int) -> Diagnosis:
    """The free space for run folders."""
    text = f"{free / (1 << 30):.1f} GiB free"
    if free < MIN_FREE_AT_ALL:
        return missing("disk", text, "free some space: a run ends when its folder cannot be written")
    if free < MIN_FREE:
        return risk("disk", text, "free some space before a long run")
    return ok("disk", text)
