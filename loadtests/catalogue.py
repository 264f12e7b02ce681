"""The built-in workloads, by name."""

from __future__ import annotations

from pathlib import Path

from chainproof.clock import format_duration
from chainproof.errors import closest
from chainproof.workload.workload import Workload, WorkloadError
from chainproof.workload.workload_file import load_workload

FOLDER = Path(__file__).parent / "workloads"
DEFAULT_WORKLOAD = "smoke"


def workload_names() -> tuple[str, ...]:
    """The names of the built-in workloads, the default first."""
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_WORKLOAD))


def workload(name: str) -> Workload:
    """The built-in workload of a name, or the workload in a TOML file. Raises WorkloadError."""
    if name in workload_names():
        return load_workload(FOLDER / f"{name}.toml")
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return load_workload(path)
    raise WorkloadError(
        f"expected a workload ({', '.join(workload_names())}) or the path of a TOML file, found {name!r}"
        f"{closest(name, workload_names())}"
    )


def workload_list() -> str:
    """The built-in workloads with their descriptions, objectives and deadlines, for `--help`."""
    width = max(map(len, workload_names()))
    lines = []
    for each in map(workload, workload_names()):
        lines.append(f"  {each.name:<{width}}  {each.description}")
        lines.append(f"  {'':<{width}}  {objective_texts(each)}; deadline {format_duration(each.deadline)}")
    return "\n".join(["workloads, with the objectives that apply without --objective:", *lines])


def objective_texts(work: Workload) -> str:
    """The objectives of a workload, in a line."""
    return ", ".join(objective.text for objective in work.objectives)
