"""
The workloads that come with chainproof, by name.
"""

from __future__ import annotations

from pathlib import Path

from chainproof.workload.workload import BadWorkload, Workload, load_workload

FOLDER = Path(__file__).parent / "workloads"
DEFAULT = "smoke"


def names() -> tuple[str, ...]:
    """
    The names, the default first.
    """
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def workload(named: str) -> Workload:
    """
    The workload that a name or a path means. Raises BadWorkload.
    """
    if named in names():
        return load_workload(FOLDER / f"{named}.toml")
    path = Path(named)
    if path.suffix == ".toml" or path.exists():
        return load_workload(path)
    raise BadWorkload(f"expected a workload ({', '.join(names())}) or the path of a TOML file, found {named!r}")


def described() -> str:
    """
    The names with their descriptions, for `--help`.
    """
    width = max(map(len, names()))
    lines = [f"  {name:<{width}}  {workload(name).description}" for name in names()]
    return "\n".join(["workloads:", *lines])
