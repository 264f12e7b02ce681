"""Which exceptions are problems of the machine, and what their messages say."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from chainproof.errors import UsageError, UserCodeError
from chainproof.machine_faults import REMEDIES, MachineFault, machine_fault, reject_own_fault

NUMPY = "IMPORTANT\n\nOriginal error was: libblas.so: failed to map segment from shared object\n"
OTHERS = (
    ValueError("no"),
    OSError("without a number"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    RuntimeError("no thread"),
    ImportError("no module"),
    KeyError(28),
    ssl.SSLError(1, "the 1 of OpenSSL is not EPERM"),
    socket.gaierror(2, "the 2 of a look-up is not ENOENT"),
    UsageError("expected this"),
)


def raised_from(error: Exception, cause: Exception) -> Exception:
    """An exception with a cause."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("number", REMEDIES)
def test_a_system_error_is_named_with_its_file_and_a_remedy(number: int) -> None:
    """In one line: the file, the words of the system, and what to do."""
    message = machine_fault(OSError(number, os.strerror(number), "/runs/x")) or ""

    assert f"/runs/x: {os.strerror(number).lower()}; {REMEDIES[number]}" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (MemoryError(), "not enough memory: raise the limit"),
        (RuntimeError("can't start new thread"), "cannot start a thread: raise the limit"),
        (ImportError(NUMPY), "libblas.so: failed to map segment from shared object: raise the limit"),
        (OSError(errno.EADDRINUSE, "in use"), "address already in use; choose another port"),
        (OSError(errno.ENOSPC, "no space"), "no space left on device; free some space"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "the working folder was deleted"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "no folder for temporary files can be written: set TMPDIR",
        ),
        (MachineFault("the disk is full"), "the disk is full"),
        (raised_from(ValueError("x"), MemoryError()), "not enough memory"),
    ],
)
def test_other_problems_of_the_machine_are_named(error: Exception, part: str) -> None:
    """Also as the cause of another exception, and of libraries with their own exceptions."""
    assert part in (machine_fault(error) or "")


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_exceptions_are_not(error: Exception) -> None:
    """An error in chainproof, one of the target and a mistake of the user have other causes."""
    assert machine_fault(error) is None


def test_the_users_code_is_responsible_for_its_own_exceptions() -> None:
    """A file that the user's check does not find is not a problem of the machine."""
    assert machine_fault(raised_from(UserCodeError("check raised"), OSError(errno.ENOSPC, "full", "x"))) is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EADDRNOTAVAIL])
def test_a_connection_that_this_machine_cannot_open_is_not_the_targets_fault(number: int) -> None:
    """Without files, memory or ports, nothing is known about the target."""
    with pytest.raises(MachineFault, match="cannot open a connection: "):
        reject_own_fault(OSError(number, os.strerror(number)))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), ssl.SSLError(1, "x"), OSError("x")]
)
def test_a_connection_that_the_target_rejects_is(error: OSError) -> None:
    """A refused connection is a result."""
    reject_own_fault(error)


def test_a_deleted_working_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system names no file then."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        Path.cwd()

    assert "the working folder was deleted: change to another folder" == machine_fault(caught.value)


def test_a_low_limit_of_the_stack_is_raised() -> None:
    """For this process, its threads and its children, as far as the hard limit allows."""
    script = (
        "import resource, threading; from chainproof.machine_faults import require_stack; require_stack(); "
        "print(resource.getrlimit(resource.RLIMIT_STACK)[0] >> 10, threading.stack_size() >> 10)"
    )
    command = f"ulimit -S -s 256; ulimit -H -s 2048; exec {shlex.join([sys.executable, '-c', script])}"

    assert (
        "2048 2048\n" == subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True, check=True).stdout
    )
