"""The machine and the series of a run survive in its manifest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.hardware import Hardware, this_machine
from chainproof.results.manifest import Manifest, Series, SeriesKind, Side

from ...manifests import load_manifest

MANIFEST = load_manifest()
MACHINE = Hardware(cpu="One", cores=2, memory_mib=8192)


@pytest.mark.parametrize("kind", SeriesKind)
@pytest.mark.parametrize("side", Side)
def test_a_series_and_the_machine_are_read_as_they_were_written(kind: SeriesKind, side: Side) -> None:
    """Every kind and side of a series, and the machine, are read from JSON as they were written."""
    series = Series(id="a", kind=kind, index=3, side=side)
    manifest = replace(MANIFEST, series=series, hardware=this_machine())

    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_manifest_without_them_is_read() -> None:
    """An ordinary run has a null series, and a manifest of before has neither key."""
    data = MANIFEST.to_json()
    assert data["series"] is None
    del data["series"]

    assert Manifest.from_json(data) == MANIFEST


@pytest.mark.parametrize(
    ("other", "is_like"),
    [
        (replace(MACHINE, memory_mib=8000), True),
        (replace(MACHINE, memory_mib=16384), False),
        (replace(MACHINE, cores=4), False),
        (replace(MACHINE, cpu="Two"), False),
    ],
)
def test_machines_are_compared_by_processor_cores_and_memory(other: Hardware, *, is_like: bool) -> None:
    """Machines are alike if processor and cores are equal and the memory nearly is."""
    assert MACHINE.is_like(other) is is_like
