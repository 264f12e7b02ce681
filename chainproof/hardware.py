"""The machine that a run was made on. Figures of a load generator depend on it, so only runs of equal machines are compared."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

_SAME_MEMORY = 0.1
"""Largest relative difference in memory of equal machines: kernels reserve different parts of it."""


class HardwareData(TypedDict):
    """The machine in a manifest."""

    cpu: str
    cores: int
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Processor and memory of a machine."""

    cpu: str
    """The model as the system names it; empty if it does not."""
    cores: int
    """Logical cores that this process may use."""
    memory_mib: int
    """0 if the system does not say."""

    def __str__(self) -> str:
        cores = f"{self.cores} core{'s' * (self.cores != 1)}"
        return f"{cores} of {self.cpu or 'an unknown processor'}, {round(self.memory_mib / 1024):,} GiB"

    def is_like(self, other: Hardware) -> bool:
        """Whether figures of the two machines can be compared."""
        largest = max(self.memory_mib, other.memory_mib)
        same_memory = abs(self.memory_mib - other.memory_mib) <= _SAME_MEMORY * largest
        return (self.cpu, self.cores) == (other.cpu, other.cores) and same_memory

    def to_json(self) -> HardwareData:
        """The machine as JSON types."""
        return {"cpu": self.cpu, "cores": self.cores, "memory_mib": self.memory_mib}

    @classmethod
    def from_json(cls, data: HardwareData) -> Hardware:
        """The machine that `to_json` wrote. Raises KeyError on anything else."""
        return cls(cpu=data["cpu"], cores=data["cores"], memory_mib=data["memory_mib"])


def this_machine() -> Hardware:
    """The machine that this process runs on."""
    return Hardware(cpu=_cpu(), cores=len(os.sched_getaffinity(0)), memory_mib=_memory() >> 20)


def _cpu() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _memory() -> int:
    """The memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
