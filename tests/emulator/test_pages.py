"""
The sample chain's page, executed word for word.
"""

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


def test_the_page_of_the_sample_chain_is_true():
    """
    Its commands, typed one after the other into one shell, print what the page shows.
    """
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    typed = "".join(text for kind, text in blocks if kind == "sh")
    shown = "".join(text for kind, text in blocks if kind == "text")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with terminal(typed) as screen, subprocess.Popen(
        ["sh"], cwd=ROOT, env={**os.environ, "PATH": path}, stdin=screen,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as shell:  # fmt: skip
        said, errors = shell.communicate(timeout=30)

    assert {"sh", "text"} == {kind for kind, _ in blocks}
    assert (0, shown) == (shell.returncode, said)
    assert re.fullmatch(r"(chainproof emulator: warm, docs/chain/hello\.py:Hello at http://\S+\n){2}", errors)


@contextmanager
def terminal(typed: str) -> Iterator[int]:
    """
    A terminal at which something has been typed: a shell takes a line from it at a time, and leaves the rest to others.
    """
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
