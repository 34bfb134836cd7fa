"""Sockets: slow, lying, leaving and too many clients. Deadlines are shortened; that they exist is what is tested."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from serving import PLAIN, TWO, Held, photo, read_all, running

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
SHORT = replace(PLAIN, receive_seconds=0.4, idle_seconds=1)


def request(data: bytes, extra: bytes = b"") -> bytes:
    return HEAD + extra + f"Content-Length: {len(data)}\r\n\r\n".encode() + data


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def read_answer(line: socket.socket) -> tuple[int, bytes]:
    """One answer on a connection that stays open → status and body."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = line.recv(65536)
        assert piece, got
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length"))
    while len(body) < length:
        body += line.recv(65536)
    return status_of(head), body


def test_a_connection_carries_many_requests_and_one_answer_each() -> None:
    with running() as server, server.connect() as line:
        answers = set()
        for seed in range(20):
            line.sendall(request(photo(seed)))
            status, body = read_answer(line)
            assert status == 200
            answers.add(body)
        assert len(answers) == 20


def test_small_answers_are_sent_at_once() -> None:
    with running() as server, server.connect() as line:
        line.sendall(request(photo(1)))
        assert read_answer(line)[0] == 200
        (connection,) = server.server._doors.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_requests_sent_without_waiting_are_answered_in_order() -> None:
    with running() as server, server.connect() as line:
        line.sendall(b"".join(request(photo(seed)) for seed in range(9)) + request(photo(9), b"Connection: close\r\n"))
        together = read_all(line)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in together.split(b"HTTP/1.1 200 OK")[1:]]
        assert len(bodies) == 10
        for seed, body in enumerate(bodies):
            alone = server.raw(request(photo(seed), b"Connection: close\r\n")).partition(b"\r\n\r\n")[2]
            assert json.loads(body) == json.loads(alone)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"P",
        HEAD[:40],
        HEAD,
        HEAD + b"Content-Length: 100\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\nhalf",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        HEAD + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    ],
    ids=[
        "silent",
        "a letter",
        "half a header",
        "headers",
        "no body",
        "half a body",
        "no chunk",
        "a chunk",
        "expecting",
    ],
)
def test_slow_headers_and_bodies_are_closed_at_the_deadline(beginning: bytes) -> None:
    with running(SHORT) as server, server.connect() as line:
        line.sendall(beginning)
        answer = read_all(line)
        assert answer in (b"",) or status_of(answer) in {100, 408}
        assert server.service.line.places == PLAIN.queue


def test_a_trickle_does_not_stretch_the_deadline() -> None:
    with running(SHORT) as server, server.connect() as line:
        line.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        sent = 0
        try:
            while sent < 1000:
                line.sendall(b"x")
                sent += 1
                time.sleep(0.02)
        except ConnectionError:
            pass
        assert sent < 1000


def test_after_an_early_refusal_the_next_request_gets_its_full_time() -> None:
    with running(replace(PLAIN, max_body=1000)) as server, server.connect() as line:
        line.sendall(HEAD + b"Content-Length: 50000\r\n\r\n" + b"x" * 30000)
        assert read_answer(line)[0] == 413
        (connection,) = server.server._doors.connections
        clock = connection._receiving
        assert clock is not None  # it goes on: the rest of the body must not take for ever
        line.sendall(b"x" * 20000)
        until(lambda: connection._receiving is not None and connection._receiving.when() > clock.when())
        line.sendall(request(photo(1)))
        assert read_answer(line)[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body_is_413_and_never_held_in_memory(chunked: bool) -> None:
    with running(replace(PLAIN, max_body=1000)) as server, server.connect() as line:
        body = b"x" * 200_000
        if chunked:
            line.sendall(
                HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
            )
        else:
            line.sendall(request(body))
        status, answer = read_answer(line)
        assert status == 413
        assert b"larger than 1000 bytes" in answer
        line.sendall(request(photo(1)))
        assert read_answer(line)[0] == 200


def test_a_body_longer_than_declared_is_cut_and_the_rest_is_no_request() -> None:
    with running() as server:
        data = photo(1)
        answer = server.raw(
            HEAD + f"Content-Length: {len(data)}\r\n\r\n".encode() + data + b"more than was declared\r\n\r\n"
        )
        assert status_of(answer) == 200
        assert b"HTTP/1.1 400" in answer


def test_when_there_are_too_many_connections_the_one_that_dawdles_longest_goes() -> None:
    with running(replace(PLAIN, connections=5)) as server:
        slow = [server.connect() for _ in range(5)]
        for line in slow:
            line.sendall(HEAD)
        until(lambda: len(server.server._doors.waiting) == 5)
        answer = server.raw(request(photo(1), b"Connection: close\r\n"))
        assert status_of(answer) == 200
        assert read_all(slow[0]) == b""
        slow[1].sendall(request(photo(1))[len(HEAD) :])
        assert read_answer(slow[1])[0] == 200
        for line in slow:
            line.close()


def test_when_all_connections_are_at_work_a_new_one_is_refused() -> None:
    held = Held()
    with running(replace(TWO, connections=2, max_batch=1), held) as server:  # type: ignore[arg-type]
        lines = [server.connect() for _ in range(2)]
        for seed, line in enumerate(lines):
            line.sendall(request(photo(seed)))
        for _ in lines:
            assert held.reached.acquire(timeout=30)
        until(lambda: not server.server._doors.waiting)
        with server.connect() as third:
            assert read_all(third) == b""
        held.go.set()
        for line in lines:
            assert read_answer(line)[0] == 200
            line.close()


def test_a_full_line_is_503_with_retry_after_and_then_answers_again() -> None:
    held = Held()
    with running(replace(PLAIN, workers=1, queue=2), held) as server, ThreadPoolExecutor(3) as pool:  # type: ignore[arg-type]
        accepted = [pool.submit(server.raw, request(photo(0), b"Connection: close\r\n"))]
        assert held.reached.acquire(timeout=30)
        for seed in (1, 2):
            accepted.append(pool.submit(server.raw, request(photo(seed), b"Connection: close\r\n")))
            until(lambda seed=seed: len(server.service.line) == seed)
        with server.connect() as line:
            for _ in range(3):
                line.sendall(request(photo(9)))
                status, body = read_answer(line)
                assert status == 503
                assert b"waiting already" in body
            held.go.set()
            assert [status_of(one.result(30)) for one in accepted] == [200, 200, 200]
            line.sendall(request(photo(9)))
            assert read_answer(line)[0] == 200


def test_past_the_deadline_the_answer_is_504_and_the_place_is_free() -> None:
    held = Held()
    with running(replace(PLAIN, workers=1, deadline=0.3, max_batch=1), held) as server:  # type: ignore[arg-type]
        with ThreadPoolExecutor(2) as pool:
            replies = [pool.submit(server.raw, request(photo(seed), b"Connection: close\r\n")) for seed in range(2)]
            assert [status_of(one.result(30)) for one in replies] == [504, 504]
        assert len(server.service.line) == 0
        held.go.set()
        until(lambda: server.service.lanes.photos == 1)


def test_a_client_that_leaves_frees_its_place() -> None:
    held = Held()
    with running(replace(PLAIN, workers=1), held) as server:  # type: ignore[arg-type]
        lines = [server.connect() for _ in range(4)]
        lines[0].sendall(request(photo(0)))
        assert held.reached.acquire(timeout=30)
        for seed, line in enumerate(lines[1:], 1):
            line.sendall(request(photo(seed)))
            until(lambda seed=seed: len(server.service.line) == seed)
        lines[2].close()
        until(lambda: len(server.service.line) == 2)
        held.go.set()
        assert [read_answer(line)[0] for line in (lines[0], lines[1], lines[3])] == [200, 200, 200]
        assert server.service.lanes.photos == 3
        for line in lines:
            line.close()


def test_a_client_that_does_not_read_is_closed() -> None:
    with running(replace(SHORT, receive_seconds=0.5)) as server, server.connect() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        try:
            for _ in range(2000):  # megabytes of answers that nobody takes
                line.sendall(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        except (ConnectionError, TimeoutError):
            pass
        until(lambda: not server.server._doors.connections)


def test_large_headers_and_nonsense_are_closed_and_the_next_is_answered() -> None:
    with running() as server:
        for attack in (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 2_000_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\0" * 1000,
            HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            HEAD + b"Content-Length: +3\r\n\r\nabc",
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            with server.connect() as line:
                with contextlib.suppress(OSError):
                    line.sendall(attack)
                    line.shutdown(socket.SHUT_WR)
                answer = read_all(line)
            assert answer == b"" or status_of(answer) in {400, 404, 501}, attack[:60]
        assert status_of(server.raw(request(photo(1), b"Connection: close\r\n"))) == 200
