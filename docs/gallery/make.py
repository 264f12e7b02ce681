"""
Make the pictures of this folder: `tox -e gallery -- [NAME…]`. It needs Chromium.

Every picture is a report on real runs against the emulator, made with the commands that README.md lists.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.reports.pages.browser import Page, browser  # noqa: E402  # the folder of the tests is no package


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One report of the gallery."""

    name: str
    shows: str
    commands: tuple[str, ...]
    """Run in this folder; `{out}` is a folder for run folders. The report is on everything in it."""
    reading: str = "{out}"
    """What `chainproof reports` reads."""
    dark: bool = False
    width: int = 1100
    height: int = 4200
    """The picture ends here."""


_LOAD = "chainproof loadtests --no-html --seed 1 --out {out}/run"
_LIMITS = "--objective 'p95 response_time < 300ms' --objective 'error_rate < 2%'"
_COLD_START = (
    "chainproof emulator --chain targets/sleeping_chain.py:Sleeping --predict-concurrency 100 -- "
    f"{_LOAD} cold-start --rate 4 --duration 70s --objective 'first_success < 20s' --objective 'settling_time < 60s'"
)
_SEARCH = (
    "chainproof loadtests saturation --no-html --seed 1 --out {out}/search --scenario rate-limited --rate 8 "
    "--objective 'error_rate < 5%' --search-max-duration 3m"
)
_SERIES = (
    "chainproof loadtests --no-html --seed 1 --out {{out}}/{side} --scenario targets/{side}.toml --rate 60 "
    "--duration {duration} --repeat {runs} --objective 'error_rate < 2%'"
)

PICTURES = (
    Picture(
        name="good-run",
        shows="A load test that meets its objectives",
        commands=(f"{_LOAD} --scenario warm --rate 60 --duration 40s {_LIMITS}",),
    ),
    Picture(
        name="bad-run",
        shows="A load test that misses both objectives: two kinds of answers, and errors of two parties (dark)",
        commands=(f"{_LOAD} --scenario targets/bad.toml --rate 40 --duration 40s {_LIMITS}",),
        dark=True,
    ),
    Picture(
        name="cold-start",
        shows="A chain that sleeps when the run begins",
        commands=(_COLD_START,),
    ),
    Picture(
        name="soak",
        shows="A soak, here of three minutes, on a narrow screen",
        commands=(f"{_LOAD} --scenario slow-tail --rate 20 --duration 3m {_LIMITS}",),
        width=380,
    ),
    Picture(
        name="saturation",
        shows="A search for the highest rate that meets the objectives",
        commands=(_SEARCH,),
        reading="{out}/search",
    ),
    Picture(
        name="comparison",
        shows="A comparison of two versions, the second of which takes 50 % longer",
        commands=tuple(_SERIES.format(side=side, duration="12s", runs=4) for side in ("before", "worse")),
        reading="{out}/worse --against {out}/before",
    ),
    Picture(
        name="history",
        shows="The history of a workload that became slower",
        commands=tuple(_SERIES.format(side=side, duration="6s", runs=10) for side in ("before", "after")),
        reading="--history {out}",
    ),
    Picture(
        name="conformance-pass",
        shows="A conformance run without a violation",
        commands=("chainproof emulator warm -- chainproof conformance --seed 1 --out {out}/run",),
    ),
    Picture(
        name="conformance-fail",
        shows="A conformance run that finds repeated request ids",
        commands=("chainproof emulator --fault id-16-bit -- chainproof conformance --seed 1 --out {out}/run",),
    ),
)


def main(names: list[str]) -> None:
    """Make the named pictures, or all, and the page that shows them."""
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder) / "profile") as tab:
        for picture in PICTURES:
            if not names or picture.name in names:
                print(f"{picture.name}: {picture.shows}", flush=True)
                take(picture, Path(folder) / picture.name, tab)
    (HERE / "README.md").write_text(page(), encoding="utf-8")


def take(picture: Picture, folder: Path, tab: Page) -> None:
    """Run the commands of a picture, and save its report as PNG."""
    folder.mkdir()
    for command in picture.commands:
        run(command.format(out=folder))
    report = folder / "report.html"
    run(f"chainproof reports {picture.reading.format(out=folder)} --html {report}")
    tab.open(report, width=picture.width, dark=picture.dark)
    tab.screenshot(folder / "page.png")
    with Image.open(folder / "page.png") as page_picture:
        top = page_picture.crop((0, 0, page_picture.width, min(page_picture.height, picture.height)))
        # Few colours make a third of the size.
        top.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(HERE / f"{picture.name}.png", optimize=True)


def run(command: str) -> None:
    """Run a shell command. A verdict that is not pass is no error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=HERE, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"exit code {done.returncode} of {command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def page() -> str:
    """The page that shows the pictures."""
    lines = [
        "# Gallery",
        "",
        "<!-- Written by make.py; edit there. -->",
        "",
        "Reports on real runs against the emulator. `tox -e gallery` regenerates them in about a quarter of an hour; it needs Chromium.",
        "Figures differ from run to run.",
        "",
    ]
    for picture in PICTURES:
        lines += [
            f"## {picture.shows}",
            "",
            "```sh",
            *(command.format(out="runs") for command in picture.commands),
            f"chainproof reports {picture.reading.format(out='runs')} --html report.html",
            "```",
            "",
        ]
        if (HERE / f"{picture.name}.png").exists():
            lines += [f"![{picture.shows}]({picture.name}.png)", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
