"""
Hostile servers: each sends a script of bytes to every request, whatever the request is.

Run as a program it serves each script on a port of its own, and all of them in turn on one more, until its standard input
is closed. It prints one line of JSON with the ports.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from functools import cache, partial
from itertools import chain, count, repeat

MIB = 1 << 20
BLOCK = b"x" * 65_536
JSON_FIELDS = b"Content-Type: application/json\r\n"
OK_HEAD = b"HTTP/1.1 200 OK\r\n" + JSON_FIELDS


class End(Enum):
    """How a script ends the connection. Without one of these the connection is kept for the next request."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"
    """Keep it open, and send nothing more."""


Piece = bytes | float | End
"""What a script does next: send bytes, wait for some seconds, or end the connection."""
Script = Callable[[int], Iterable[Piece]]
"""The pieces for the request with a number."""


def message(body: bytes, *fields: bytes, status: bytes = b"200 OK", number: int = 0) -> bytes:
    """A valid answer with a request id."""
    head = [b"HTTP/1.1 " + status, b"X-BASETEN-REQUEST-ID: %d" % number, *fields]
    if not any(field.lower().startswith(b"content-type") for field in fields):
        head.append(JSON_FIELDS.strip())
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


def valid(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> Script:
    """A script that sends a valid answer."""
    return lambda number: [message(body, *fields, status=status, number=number)]


def fixed(*pieces: Piece) -> Script:
    """A script of pieces."""
    return lambda _: pieces


def endless(start: bytes, block: bytes, *, size: int = 65_536) -> Script:
    """A script that sends a block again and again."""
    many = block * max(1, size // len(block))
    return lambda _: chain([start], repeat(many))


def drip(start: bytes, octets: Iterable[bytes], pause: float = 0.02) -> Script:
    """A script that sends bytes slowly."""
    pieces = tuple(octets)

    def script(_: int) -> Iterator[Piece]:
        yield start
        for piece in pieces:
            yield piece
            yield pause

    return script


def chunked(blocks: Iterable[bytes]) -> bytes:
    """A body in chunks, without its end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks)


def deep(opening: bytes, closing: bytes, depth: int, value: bytes = b"1") -> bytes:
    """A JSON text that is nested deeply."""
    return opening * depth + value + closing * depth


# ------------------------------------------------------------------ content codings


@cache
def bomb(head: bytes, mebibytes: int = 512) -> bytes:
    """A deflate stream after a head that expands to so many MiB. Its end is missing, so that making it takes no time."""
    coder = zlib.compressobj(6, zlib.DEFLATED, -15)
    return head + (coder.compress(bytes(MIB)) + coder.flush(zlib.Z_FULL_FLUSH)) * mebibytes


GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\x03"
ZLIB_HEAD = b"\x78\x9c"


@cache
def json_bomb() -> bytes:
    """A small gzip body that is valid JSON with five million empty objects."""
    return gzip.compress(b"[" + b"{}," * 5_000_000 + b"{}]", 1)


@cache
def brotli_bomb() -> bytes:
    """The same with the coding br; a body that is not brotli where the library is missing."""
    try:
        import brotli  # noqa: PLC0415  # optional
    except ImportError:
        return b"no brotli"
    return bytes(brotli.compress(bytes(64 * MIB), quality=1))


def zstd_bomb(blocks: int = 8192) -> bytes:
    """A zstd frame of run-length blocks (RFC 8878 §3.1.1.2), each of 128 KiB: 1 GiB in 32 KiB."""
    size = 128 << 10
    block = [struct.pack("<I", size << 3 | 1 << 1 | (number == blocks - 1))[:3] + b" " for number in range(blocks)]
    return b"\x28\xb5\x2f\xfd" + b"\x00\x38" + b"".join(block)


def coded(body: Callable[[], bytes], coding: bytes) -> Script:
    """A script that sends a coded body."""
    return lambda number: [message(body(), b"Content-Encoding: " + coding, number=number)]


# ------------------------------------------------------------------ servers


def varying(number: int) -> Iterable[Piece]:
    """An answer in which everything varies: status, reason, code, ids, names and values of header fields, body."""
    draw = random.Random(number)

    def word() -> bytes:
        return f"{draw.getrandbits(64):016x}".encode()

    status = b"%d %s" % (draw.randrange(200, 600), word())
    fields = [b"X-%s: %s" % (word(), word()) for _ in range(20)]
    fields += [b"Retry-After: " + word(), b"Content-Type: application/" + draw.choice([b"json", word()])]
    body = json.dumps({"error": word().decode(), "error_code": word().decode(), "detail": {word().decode(): 1}})
    return [message(body.encode(), *fields, status=status, number=number)]


def varying_reasons(number: int) -> Iterable[Piece]:
    """A 500 whose error code and text have never been seen before."""
    code = f"{number:x}" * 20
    return [message(json.dumps({"error": code, "error_code": code}).encode(), status=b"500 x", number=number)]


def varying_garbage(number: int) -> Iterable[Piece]:
    """Bytes that are no HTTP, other ones each time."""
    return [random.Random(number).randbytes(200), End.CLOSE]


def long_id(number: int) -> Iterable[Piece]:
    """An answer whose request id has 900 kB."""
    return [message(b"{}", b"X-Other: 1").replace(b"ID: 0", b"ID: " + b"%d" % number + b"i" * 900_000)]


ENDLESS: dict[str, Script] = {
    "endless-status-line": endless(b"HTTP/1.1 200 ", b"x"),
    "endless-blank-lines": endless(b"", b"\r\n"),
    "endless-header-value": endless(OK_HEAD + b"X-Long: ", b"x"),
    "endless-header-fields": endless(OK_HEAD, b"X-Field: value\r\n"),
    "endless-header-names": lambda _: chain([OK_HEAD], (b"".join(b"x%d:\r\n" % (n * 5000 + i) for i in range(5000)) for n in count())),
    "endless-folded-header": endless(OK_HEAD + b"X-Folded: a\r\n", b" b\r\n"),
    "endless-cookies": endless(OK_HEAD, b"Set-Cookie: a=b\r\n"),
    "endless-interim": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless-early-hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"),
    "endless-interim-header": endless(b"HTTP/1.1 103 Early Hints\r\n", b"Link: </a>\r\n"),
    "endless-body-of-length": endless(OK_HEAD + b"Content-Length: 1000000000000\r\n\r\n", b"x"),
    "endless-body-until-close": endless(OK_HEAD + b"\r\n", b'{"a":'),
    "endless-chunks": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunked([BLOCK])),
    "endless-tiny-chunks": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "endless-chunk-size": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "endless-chunk-extension": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "endless-chunk-extensions": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1" + b";a=b" * 200 + b"\r\nx\r\n"),
    "endless-trailers": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: a\r\n"),
    "endless-trailer-value": endless(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"a"),
    "endless-bytes-after-answer": endless(message(b"{}"), b"x"),
    "endless-answers": endless(b"", message(b"{}")),
    "endless-garbage": endless(b"", b"\x00\xff\x80"),
}  # fmt: skip
"""Servers that never stop sending."""

BOMBS: dict[str, Script] = {
    "bomb-gzip": coded(partial(bomb, GZIP_HEAD), b"gzip"),
    "bomb-deflate": coded(partial(bomb, ZLIB_HEAD), b"deflate"),
    "bomb-brotli": coded(brotli_bomb, b"br"),
    "bomb-zstd": coded(zstd_bomb, b"zstd"),
    "bomb-nested-gzip": coded(cache(lambda: gzip.compress(bomb(GZIP_HEAD))), b"gzip, gzip"),
    "bomb-of-15-mib": coded(partial(bomb, GZIP_HEAD, 15), b"gzip"),
    "bomb-in-json": coded(json_bomb, b"gzip"),
    "bomb-of-members": coded(cache(lambda: gzip.compress(b"") * 50_000), b"gzip"),
    "bomb-of-codings": coded(cache(lambda: gzip.compress(b"{}")), b", ".join([b"gzip"] * 10_000)),
    "bomb-of-identities": coded(partial(bytes, b"{}"), b", ".join([b"identity"] * 50_000)),
    "truncated-gzip": coded(cache(lambda: gzip.compress(bytes(MIB))[:-9]), b"gzip"),
}
"""Servers whose small bodies expand."""

JSON: dict[str, Script] = {
    "deep-arrays": valid(b'{"a":' + deep(b"[", b"]", 400_000) + b"}"),
    "deep-objects": valid(deep(b'{"a":', b"}", 200_000)),
    "unclosed-arrays": valid(b"[" * 1_000_000),
    "giant-integer": valid(b'{"a":' + b"9" * 1_000_000 + b"}"),
    "giant-exponent": valid(b'{"a":1e' + b"9" * 1_000_000 + b"}"),
    "giant-string": valid(b'{"a":"' + b"x" * (40 * MIB) + b'"}'),
    "giant-escapes": valid(b'{"a":"' + b"\\u0041" * (3 * MIB) + b'"}'),
    "giant-unicode": valid(b'{"a":"' + b"x" * (16 * MIB) + "😀".encode() + b'"}'),
    "many-names": valid(b"{" + b",".join(b'"name-%d":%d' % (i, i) for i in range(200_000)) + b"}"),
    "equal-names": valid(b"{" + b'"a":1,' * 200_000 + b'"a":1}'),
    "empty-objects": valid(b"[" + b"{}," * 10_000_000 + b"{}]"),
    "giant-error-code": valid(b'{"error":"x","error_code":"' + b"c" * 900_000 + b'"}', status=b"500 x"),
    "giant-error": valid(b"<p>" * 5_000_000, b"Content-Type: text/html", status=b"502 x"),
}
"""Servers whose answers take long to parse."""

FIELDS: dict[str, Script] = {
    "long-id": long_id,
    "200000-names": lambda _: [OK_HEAD + b"".join(b"x%x:\r\n" % i for i in range(200_000)) + b"Content-Length: 2\r\n\r\n{}"],
    "long-reason": valid(b"{}", status=b"200 " + b"r" * 900_000),
    "long-media-type": valid(b"{}", b"Content-Type: text/" + b"t" * 900_000),
    "long-retry-after": valid(b'{"error":"x"}', b"Retry-After: " + b"9" * 900_000, status=b"429 x"),
    "long-length": fixed(OK_HEAD + b"Content-Length: " + b"0" * 500_000 + b"2\r\n\r\n{}"),
    "list-of-lengths": fixed(OK_HEAD + b"Content-Length: " + b"2," * 300_000 + b"2\r\n\r\n{}"),
    "long-allow": valid(b"{}", b"Allow: " + b"GET," * 200_000, status=b"405 x"),
    "varying": varying,
    "varying-reasons": varying_reasons,
    "varying-garbage": varying_garbage,
}  # fmt: skip
"""Servers with many or long header fields, or with other ones each time."""

SLOW: dict[str, Script] = {
    "silent": fixed(End.HANG),
    "half-head": fixed(OK_HEAD[:-9], End.HANG),
    "half-body": fixed(OK_HEAD + b"Content-Length: 5\r\n\r\n{", End.HANG),
    "drip-head": drip(b"HTTP/1.1 200 OK\r\nX: ", [b"x"] * 1000),
    "drip-body": drip(OK_HEAD + b"Content-Length: 1000\r\n\r\n", [b" "] * 998 + [b"{}"]),
    "drip-interim": drip(b"", [b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000, 0.05),
    "drip-chunks": drip(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", [b"1\r\n \r\n"] * 1000),
    "slow-then-valid": lambda number: [0.4, message(b"{}", number=number)],
}
"""Servers that keep callers waiting."""

BROKEN: dict[str, Script] = {
    "closes": fixed(End.CLOSE),
    "resets": fixed(End.RESET),
    "resets-within": fixed(OK_HEAD + b"Content-Length: 5\r\n\r\n{", End.RESET),
    "negative-length": fixed(OK_HEAD + b"Content-Length: -1\r\n\r\n{}", End.CLOSE),
    "two-lengths": fixed(OK_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", End.CLOSE),
    "huge-chunk-size": fixed(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}", End.HANG),
    "switches-protocol": fixed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + BLOCK),
    "http2": fixed(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), End.HANG),
    "tls-alert": fixed(b"\x15\x03\x01\x00\x02\x02\x46", End.CLOSE),
    "ssh": fixed(b"SSH-2.0-OpenSSH_9.6\r\n", End.CLOSE),
    "nul-head": fixed(b"HTTP/1.1 200 OK\r\nX: \x00\x01\r\n\x00: y\r\nContent-Length: 2\r\n\r\n{}"),
    "status-999": valid(b"{}", status=b"999 x"),
    "no-content-with-body": fixed(b'HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n{"a":"b"}'),
}  # fmt: skip
"""Servers that break the protocol."""

MUTATIONS = 12


def mutated(seed: int) -> Script:
    """A script that sends a valid answer with some changes, others for each request."""
    origin = message(b'{"error":"x","error_code":"CLIENT_ERROR"}', b"Retry-After: 1", status=b"400 Bad")

    def script(number: int) -> Iterator[Piece]:
        draw = random.Random(f"{seed} {number % 7}")
        octets = bytearray(origin)
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(octets))
            change = draw.choice(
                [b"", draw.randbytes(3), b"\r\n", b"\x00", b"9" * 40, bytes(octets[at : at + 30]), b"\xff", b": "]
            )
            octets[at : at + draw.randrange(8)] = change
        cut = sorted(draw.randrange(len(octets) + 1) for _ in range(2))
        yield bytes(octets[: cut[0]])
        yield bytes(octets[cut[0] : cut[1]])
        yield 0.001
        yield bytes(octets[cut[1] :])
        yield draw.choice([End.CLOSE, End.RESET, End.CLOSE, End.HANG])

    return script


SCRIPTS: dict[str, Script] = {
    **ENDLESS, **BOMBS, **JSON, **FIELDS, **SLOW, **BROKEN,
    **{f"mutated-{seed}": mutated(seed) for seed in range(MUTATIONS)},
}  # fmt: skip
"""All servers by name."""


# ------------------------------------------------------------------ serving


def read_request(connection: socket.socket, received: bytes = b"") -> bytes | None:
    """Read one request to its end; returns the bytes after it, or None if the connection has ended."""
    while b"\r\n\r\n" not in received:
        octets = connection.recv(65_536)
        if not octets:
            return None
        received += octets
    head, _, rest = received.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    missing = (int(length) if length.isdigit() else 0) - len(rest)
    while missing > 0:
        octets = connection.recv(65_536)
        if not octets:
            return None
        missing -= len(octets)
        rest = octets[missing:] if missing < 0 else b""
    return rest


def play(connection: socket.socket, pieces: Iterable[Piece]) -> bool:
    """Play one script. Returns whether the connection is kept."""
    for piece in pieces:
        if isinstance(piece, bytes):
            connection.sendall(piece)
        elif isinstance(piece, float):
            time.sleep(piece)
        elif piece is End.HANG:
            while connection.recv(65_536):
                pass
            return False
        else:
            if piece is End.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    return True


def serve_connection(connection: socket.socket, script: Script, numbers: Iterator[int]) -> None:
    """Answer the requests of one connection."""
    connection.settimeout(60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest: bytes | None = b""
    with connection, suppress(OSError):
        while (rest := read_request(connection, rest or b"")) is not None:
            if not play(connection, script(next(numbers))):
                return


def serve(listening: socket.socket, script: Script) -> None:
    """Accept connections for ever."""
    numbers = count(1)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve_connection, args=(connection, script, numbers), daemon=True).start()


def in_turn(scripts: dict[str, Script], *, every: int = 1) -> Script:
    """A script that is another one for each request, or for one of *every* few, and between them sends valid answers."""
    order = tuple(scripts.values())
    plain = valid(b"{}")
    return lambda number: plain(number) if number % every else order[number // every % len(order)](number)


def main() -> None:
    """Serve all scripts until standard input is closed."""
    scripts = {**SCRIPTS, "in-turn": in_turn(SCRIPTS), "now-and-then": in_turn(SCRIPTS, every=7)}
    ports = {}
    for name, script in scripts.items():
        listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        ports[name] = listening.getsockname()[1]
        threading.Thread(target=serve, args=(listening, script), daemon=True).start()
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
