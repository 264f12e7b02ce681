"""The commands on the page about the sample chain print what the page shows."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "chain" / "README.md"


def test_the_commands_of_the_page_print_what_it_shows(tmp_path):
    """All commands are typed into one shell. `console` blocks are neither run nor compared."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    typed = "".join(text for kind, text in blocks if kind == "sh")
    shown = "".join(text for kind, text in blocks if kind == "text")
    files_before = set(ROOT.iterdir())
    with terminal(typed) as screen, subprocess.Popen(
        ["sh"], cwd=ROOT, env=environment(tmp_path), stdin=screen,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as shell:  # fmt: skip
        try:
            output, errors = shell.communicate(timeout=280)
        finally:
            shell.kill()

    assert {"sh", "text", "console"} == {kind for kind, _ in blocks}
    assert (0, shown.splitlines()) == (shell.returncode, output.splitlines()), errors
    assert 2 == len(re.findall(r"^chainproof emulator: warm, \S+/hello\.py:Hello at http://\S+$", errors, re.MULTILINE))
    assert "Traceback" not in errors
    assert files_before == set(ROOT.iterdir())


def environment(folder: Path) -> dict[str, str]:
    """The environment of a new user: the tools on the path, and folders for temporary files and caches."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHAINPROOF", "BASETEN", "PYTEST"))
    }
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }


@contextmanager
def terminal(typed: str) -> Iterator[int]:
    """A pseudo-terminal with typed input, which a shell reads line by line."""
    keyboard, screen = pty.openpty()
    attributes = termios.tcgetattr(screen)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(screen, termios.TCSANOW, attributes)
    os.write(keyboard, typed.encode() + b"\x04")
    try:
        yield screen
    finally:
        os.close(screen)
        os.close(keyboard)
