"""The listening socket: whoever the system has let in is served, and nobody is let in while it closes."""

from __future__ import annotations

import socket
import sys

import pytest

from kopal.errors import ServeError
from kopal.serve.door import keep_out, last_in, open_door
from serving import PLAIN


def test_those_who_wait_are_the_last_in() -> None:
    with open_door(PLAIN.host, 0) as door:
        door.listen()
        clients = [socket.create_connection(door.getsockname(), timeout=30) for _ in range(5)]
        late = last_in(door)
        assert {one.getpeername() for one in late} == {client.getsockname() for client in clients}
        assert last_in(door) == []
        for one in (*late, *clients):
            one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops packets for a socket")
def test_nobody_is_let_in_while_the_door_closes_and_then_everybody_is_refused() -> None:
    with open_door(PLAIN.host, 0) as door:
        door.listen()
        early = socket.create_connection(door.getsockname(), timeout=30)
        keep_out(door)
        early.sendall(b"still here")
        (accepted,) = last_in(door)
        accepted.settimeout(30)
        assert accepted.recv(100) == b"still here"
        for one in (early, accepted):
            one.close()
        with socket.socket() as knocking:
            knocking.settimeout(0.2)
            with pytest.raises(TimeoutError):
                knocking.connect(door.getsockname())
        address = door.getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=30)


def test_a_name_that_is_no_address_is_one_clear_error() -> None:
    for host in ("no.such.host.invalid", "\udcff", "a" * 300):
        with pytest.raises(ServeError, match="cannot listen at"):
            open_door(host, 0)
