"""Attacks by the hundred: on the API's description, on HTTP itself, on the pictures. None ends or sways the server."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attacks import sound
from photo_bytes import chunk, claims, samples
from serving import TWO, Running, form, photo, read_all, running

CLASSIFIER = sound()
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(replace(TWO, receive_seconds=5), CLASSIFIER) as made:
        yield made


@pytest.fixture(autouse=True)
def unmoved(server: Running) -> Iterator[None]:
    """After every attack the same photo gets the same bytes, and no error of ours was logged."""
    before = answer_to(server, photo(1))
    yield
    assert answer_to(server, photo(1)) == before
    assert [noun for noun in server.nouns if "error" in str(noun) and type(noun).__name__ == "Note"] == []


def answer_to(server: Running, data: bytes, extra: bytes = b"") -> tuple[int, bytes]:
    length = f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
    head, _, body = server.raw(HEAD + extra + length + data).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def mutated(seed: int, data: bytes) -> bytes:
    """Bytes changed, cut out, doubled, or cut off, in a way that the seed decides."""
    rng = np.random.default_rng(seed)
    worked = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, max(1, len(worked))))
        kind = int(rng.integers(0, 4))
        if kind == 0:
            worked[at : at + 1] = bytes([int(rng.integers(0, 256))])
        elif kind == 1:
            del worked[at : at + int(rng.integers(1, 30))]
        elif kind == 2:
            worked[at:at] = worked[at : at + int(rng.integers(1, 30))]
        else:
            del worked[max(1, at) :]
    return bytes(worked)


def test_mutated_pictures_are_answered_or_refused_and_kill_no_decoder(server: Running) -> None:
    sound_files = list(samples().values())
    seen = {answer_to(server, mutated(seed, sound_files[seed % len(sound_files)]))[0] for seed in range(400)}
    assert seen == {200, 422}
    assert server.service.lanes.deaths == 0


def bombs() -> dict[str, bytes]:
    """Small files that ask for much."""
    rows = zlib.compress(b"\0" * 6001 * 6000, 9)
    header = struct.pack(">IIBBBBB", 6000, 6000, 8, 0, 0, 0, 0)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (50 << 20), 9))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return {
        "huge claim": claims(1 << 30, 1 << 30),
        "limit claim": claims(7000, 7000),
        "36 million pixels of nothing": start + chunk(b"IDAT", rows) + chunk(b"IEND", b""),
        "text of 50 MB": start + text + chunk(b"IDAT", rows) + chunk(b"IEND", b""),
        "many frames": b"GIF89a"
        + struct.pack("<HH", 60000, 60000)
        + b"\xf0\0\0"
        + b"\0" * 6
        + b",\0\0\0\0" * 5000
        + b";",
        "endless segments": b"\xff\xd8\xff" + b"\xff\xe0\x00\x02" * 200_000,
        "endless directory": b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65535) + b"\0" * 800_000,
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_answered_or_refused(server: Running, name: str) -> None:
    assert answer_to(server, bombs()[name])[0] in {200, 422}
    assert server.service.lanes.deaths == 0


def test_malformed_http_of_any_kind_is_400_or_closed(server: Running) -> None:
    header, body = form([("a.png", photo(1))])
    good = [
        HEAD + f"Content-Length: {len(photo(1))}\r\n\r\n".encode() + photo(1),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
        + f"{header[0]}: {header[1]}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(photo(1)):x}\r\n".encode() + photo(1) + b"\r\n0\r\n\r\n",
    ]
    for seed in range(200):
        attack = mutated(seed, good[seed % len(good)])
        with server.connect() as line:
            with contextlib.suppress(OSError):
                line.sendall(attack)
                line.shutdown(socket.SHUT_WR)
            answer = read_all(line)
        statuses = {int(part[1:4]) for part in answer.split(b"HTTP/1.1")[1:] if part[1:4].isdigit()}
        assert not {status for status in statuses if status >= 500}, attack[:200]


def test_many_attackers_at_once_do_not_mix_anybodys_answer_up(server: Running) -> None:
    from kopal import images

    pixels = np.stack([images.read(photo(seed), CLASSIFIER.geometry) for seed in range(60)])
    expected = [answer.label for answer in CLASSIFIER.answers(pixels)]
    wrong: list[Any] = []

    def good(first: int) -> None:
        for seed in range(first, 60, 3):
            status, body = answer_to(server, photo(seed))
            if status != 200 or f'"label":"{expected[seed]}"'.encode() not in body:
                wrong.append((seed, status, body))

    def bad(first: int) -> None:
        for seed in range(60):
            answer_to(server, mutated(first + seed, photo(seed, "JPEG", (40, 30))))

    threads = [threading.Thread(target=good, args=(first,)) for first in range(3)]
    threads += [threading.Thread(target=bad, args=(1000 * first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_schemathesis_finds_nothing_that_the_description_does_not_allow(server: Running) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis brings it")
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    tried = 0
    for operation in schema.get_all_operations():

        @given(case=operation.ok().as_strategy())
        @settings(
            max_examples=60,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def attack(case: Any) -> None:
            nonlocal tried
            tried += 1
            # That bytes are a picture, and numbers as many as the shape says, no schema can say.
            case.call_and_validate(excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")])

        attack()
    assert tried > 100
