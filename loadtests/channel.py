"""
Bytes to and from a target over gevent, with the instant at which the kernel received them.

A channel is one TCP connection, bare or under TLS. Receiving returns the bytes and when they arrived: Linux stamps each
packet as it comes in (SO_TIMESTAMPNS), so that an answer which waits in the socket's buffer while this process is busy
is not charged to the target. A read of several packets carries the stamp of the last, which is the one that completes
an answer. Where no stamp is to be had, or one that lies outside what our own clock allows, the instant is that of the
read.

Under TLS the records go through memory buffers, so that the bare socket is still the one that is read.
"""

from __future__ import annotations

import os
import ssl
import struct
import sys
import time
from typing import Protocol

import certifi
import gevent
from gevent.monkey import get_original

from chainproof.clock import Seconds

# The sockets as the standard library has them: waiting is done here, by gevent's event loop.
_socket_module = get_original("socket", ["socket", "SOL_SOCKET", "SO_ERROR", "IPPROTO_TCP", "TCP_NODELAY", "MSG_PEEK"])
_Socket, _SOL_SOCKET, _SO_ERROR, _IPPROTO_TCP, _TCP_NODELAY, _MSG_PEEK = _socket_module
