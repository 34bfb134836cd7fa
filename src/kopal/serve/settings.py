"""What a server is told when it starts. Nothing of it can be changed by a request."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from kopal.errors import UsageError
from kopal.images import MAX_BYTES
from kopal.parallel import cores

LEAST_TOKEN = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Settings:
    """Where to listen, whom to answer, and every limit. Times are seconds, sizes bytes.

    `max_batch` 0 means as many as the net runs best at once. Raises `UsageError` for values that cannot be, and for an
    address that others can reach without either a token or `no_auth`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    no_auth: bool = False
    allow_hosts: tuple[str, ...] = ()
    name: str = "model"
    workers: int = 0
    max_batch: int = 0
    max_wait_ms: float = 0.0
    queue: int = 128
    deadline: float = 10.0
    max_body: int = MAX_BYTES
    max_photos: int = 64
    decode_seconds: float = 5.0
    receive_seconds: float = 12.0
    idle_seconds: float = 5.0
    connections: int = 512
    all_bodies: int = 4 * MAX_BYTES
    drain_seconds: float = 8.0
    notice_seconds: float = 0.5

    def __post_init__(self) -> None:
        for value, option, least, most in (
            (self.port, "--port", 0, 65535),
            (self.workers, "--workers", 0, 64),
            (self.max_batch, "--max-batch", 0, 1024),
            (self.max_wait_ms, "--max-wait-ms", 0, 1000),
            (self.queue, "--queue", 1, 10_000),
            (self.deadline, "--deadline", 0.01, 3600),
            (self.max_body, "--max-body", 1, 1 << 30),
        ):
            if not least <= value <= most:
                raise UsageError(f"{option} {value}", f"{least} to {most}")
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"the model's name {self.name!r}", "up to 63 letters, digits, dots, dashes", "choose a --name"
            )
        if self.token and (len(self.token) < LEAST_TOKEN or not self.token.isascii() or not self.token.isprintable()):
            raise UsageError(
                "the token is too short, or has letters that a header cannot carry",
                f"{LEAST_TOKEN} or more printable ASCII characters",
                'python3 -c "import secrets; print(secrets.token_urlsafe())" makes one',
            )
        if self.public and not self.token and not self.no_auth:
            raise UsageError(
                f"--host {self.host} lets every machine that reaches this one ask",
                "a --token that they must know, or --no-auth to want it so",
                "--host 127.0.0.1 answers this machine alone",
            )

    @property
    def public(self) -> bool:
        """Whether others than this machine can reach the address."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return True

    @property
    def lanes(self) -> int:
        """How many photos are worked on at once."""
        return self.workers or cores()
