"""The listening socket: opened with one clear error, closed without cutting off anybody whom the system has let in.

Connections are made by the system and wait until we accept them; closing the socket resets those that still wait. So,
where the system can do it, nobody new is let in first: a filter on the socket drops packets that begin a connection
(who knocks again, a second later, finds the door closed); those that are half made are finished and accepted.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys

from kopal.errors import ServeError

BACKLOG = 2048

_SO_ATTACH_FILTER = 26  # include/uapi/asm-generic/socket.h; Python has no name for it
_NO_SYN = (  # classic BPF (Linux, Documentation/networking/filter.rst) on a packet that begins with its TCP header
    struct.pack("HBBI", 0x30, 0, 0, 13)  # load the byte of flags
    + struct.pack("HBBI", 0x45, 0, 1, 0x02)  # is SYN among them?
    + struct.pack("HBBI", 0x06, 0, 0, 0)  # then keep nothing of the packet
    + struct.pack("HBBI", 0x06, 0, 0, 0xFFFFFFFF)  # else all of it
)


def open_door(host: str, port: int) -> socket.socket:
    """A bound socket that does not block. Raises `ServeError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is said does asyncio send small packets at once, not 40 ms later (TCP_NODELAY).
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.setblocking(False)
    except (OSError, UnicodeError, TypeError) as error:  # a name that is no text is of the wrong type
        door.close()
        raise ServeError(
            f"cannot listen at {host}:{port}: {getattr(error, 'strerror', None) or error}",
            "a free port of an address of this machine",
            "choose another --port, or 0 for any",
        ) from error
    return door


def keep_out(door: socket.socket) -> None:
    """Let nobody new begin a connection. Elsewhere than on Linux, or where it is forbidden, this does nothing."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    with contextlib.suppress(OSError):
        door.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(program)))


def last_in(door: socket.socket) -> list[socket.socket]:
    """The clients that have been let in and wait. The door may then be closed."""
    late: list[socket.socket] = []
    while True:
        try:
            client, _ = door.accept()
        except OSError:  # nobody waits
            return late
        client.setblocking(False)
        late.append(client)
