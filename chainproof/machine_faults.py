"""
Problems of the machine that a command runs on, such as a full disk: which exceptions show one, and what to do about each.

They are neither an error in chainproof nor one of the target. Every tool asks `machine_fault`, so that all of them say the same.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import threading
from collections.abc import Iterator

from chainproof.errors import UsageError, UserCodeError

_DISK = "free some space there, or name another folder"
_FILES = "raise the limit with `ulimit -n`, or lower the number of connections"
_MEMORY = "raise the limit (`ulimit -v`, or that of the container), or end other programs"
_PROCESSES = "raise the limit (`ulimit -u`, or that of the container), or end other programs"
_THREADS = "raise the limits (`ulimit -u` and `ulimit -v`, or those of the container), or end other programs"
_PERMISSION = "give this user access to it, or use another one"
_DEVICE = "look into the log of the kernel (dmesg)"

REMEDIES: dict[int, str] = {
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EFBIG: "raise the limit of the size of files (`ulimit -f`)",
    errno.EROFS: _PERMISSION,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOENT: "leave files and folders of a running command where they are",
    errno.ENOTDIR: "leave files and folders of a running command where they are",
    errno.ESTALE: "leave files and folders of a running command where they are",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "remove the circle of links",
    errno.EIO: _DEVICE,
    errno.ENXIO: _DEVICE,
    errno.EMFILE: _FILES,
    errno.ENFILE: "close other programs, or raise the limit of the system (sysctl fs.file-max)",
    errno.ENOMEM: _MEMORY,
    errno.ENOBUFS: _MEMORY,
    errno.EADDRINUSE: "choose another port, or end the program that listens there",
    errno.EADDRNOTAVAIL: "close other programs with many connections, or widen net.ipv4.ip_local_port_range",
    errno.EAGAIN: _PROCESSES,
}
"""What to do about a system error, by its number. Others are not problems of the machine or of a path."""

_OF_LIBRARIES = {
    os.strerror(errno.ENOMEM): _MEMORY,
    "failed to map segment": _MEMORY,
    os.strerror(errno.EMFILE): _FILES,
}
"""Texts in an ImportError that show why a library could not be loaded."""
_OTHER_NUMBERS = frozenset({"ssl", "socket"})
"""Modules whose exceptions have numbers of their own: the 1 of an SSLError is not the 1 of the system."""


_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})
"""Errors of a connection that are not the target's: no more files, memory or ports."""


_ADDRESS_SPACE = 192 << 20
"""What the libraries of a tool take, in bytes, and some for its work."""


_STACK = 8 << 20
"""Bytes of stack that a process usually has."""
_MIN_STACK = 1 << 20
"""What a process needs at least: it crashed with an eighth of this."""


class MachineFault(UsageError):
    """A problem of the machine. The message is one line: what happened, and what to do."""


def usage_error_or_machine_fault(error: BaseException) -> str | None:
    """What a usage error or a problem of the machine says; None for any other exception."""
    return str(error) if isinstance(error, UsageError) else machine_fault(error)


def machine_fault(error: BaseException) -> str | None:
    """What is wrong with this machine, and what to do, in one line; None if the exception has another cause."""
    return next(filter(None, map(_fault, _with_causes(error))), None)


def reject_own_fault(error: OSError) -> None:
    """Raise MachineFault if a connection failed because this machine has no more files, memory or ports for it."""
    if error.errno in _NO_RESOURCES and type(error).__module__ not in _OTHER_NUMBERS:
        raise MachineFault(system_fault("cannot open a connection", error)) from error


def require_address_space(size: int = _ADDRESS_SPACE) -> None:
    """
    Raise MachineFault if little address space is left. Checked before libraries are loaded: OpenBLAS, which numpy loads, ends the
    process with a message of its own.
    """
    try:
        mmap.mmap(-1, size).close()
    except OSError as error:
        raise MachineFault(system_fault(f"cannot reserve {size >> 20} MiB of address space", error)) from error


def require_stack() -> None:
    """
    Give this process, its threads and its children the usual stack. Raises MachineFault if the limit allows too little: recursion
    would end the process with SIGSEGV.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    size = _STACK if hard == resource.RLIM_INFINITY else min(hard, _STACK)
    if size < _MIN_STACK:
        raise MachineFault(
            f"expected a stack of at least {_MIN_STACK >> 10} KiB, found {size >> 10}: raise the limit (`ulimit -s {_STACK >> 10}`)"
        )
    if soft != resource.RLIM_INFINITY and soft < size:
        resource.setrlimit(resource.RLIMIT_STACK, (size, hard))
        threading.stack_size(size)  # the system has read the limit for those of threads before


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it was raised from, or because of; none if it is one of the user's code."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and not isinstance(current, UserCodeError):
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _fault(error: BaseException) -> str | None:
    """The same of one exception alone."""
    text = str(error)
    if isinstance(error, MachineFault):
        return text
    if isinstance(error, MemoryError):
        return f"not enough memory: {_MEMORY}"
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return f"cannot start a thread: {_THREADS}"
    if isinstance(error, ImportError):
        lines = (
            (line.strip(), remedy)
            for line in text.splitlines()
            for part, remedy in _OF_LIBRARIES.items()
            if part in line
        )
        return next((f"cannot load a library, {line}: {remedy}" for line, remedy in lines), None)
    number = getattr(error, "errno", None)  # that of a library's own exception too, such as pyzmq's
    if not isinstance(number, int) or number not in REMEDIES or type(error).__module__ in _OTHER_NUMBERS:
        return None
    return _system_error(error, number)


def system_fault(what: str, error: OSError) -> str:
    """The text about a system error: what could not be done, why, and the remedy."""
    remedy = REMEDIES.get(error.errno or 0)
    return f"{what}: {(error.strerror or str(error)).lower()}{f'; {remedy}' if remedy else ''}"


def _system_error(error: BaseException, number: int) -> str:
    """The text about an exception with the number of a system error."""
    name, reason = getattr(error, "filename", None), os.strerror(number).lower()
    if number == errno.ENOENT and "temporary directory" in str(error):
        return "no folder for temporary files can be written: set TMPDIR to one that can"
    if number == errno.ENOENT and name is None:
        return "the working folder was deleted: change to another folder"
    where = f"cannot use {os.fsdecode(name)}: " if isinstance(name, bytes | str | os.PathLike) else ""
    return f"{where}{reason}; {REMEDIES[number]}"
