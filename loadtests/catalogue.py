"""
The workloads that come with chainproof, by name.
"""

from __future__ import annotations

from pathlib import Path

from chainproof.workload.workload import Workload, WorkloadError, load_workload

FOLDER = Path(__file__).parent / "workloads"
DEFAULT_WORKLOAD = "smoke"


def workload_names() -> tuple[str, ...]:
    """
    The names, the default first.
    """
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT_WORKLOAD))


def workload(named: str) -> Workload:
    """
    The workload that a name or a path means. Raises WorkloadError.
    """
    if named in workload_names():
        return load_workload(FOLDER / f"{named}.toml")
    path = Path(named)
    if path.suffix == ".toml" or path.exists():
        return load_workload(path)
    raise WorkloadError(
        f"expected a workload ({', '.join(workload_names())}) or the path of a TOML file, found {named!r}"
    )


def workload_list() -> str:
    """
    The names with their descriptions, for `--help`.
    """
    width = max(map(len, workload_names()))
    lines = [f"  {name:<{width}}  {workload(name).description}" for name in workload_names()]
    return "\n".join(["workloads:", *lines])
