"""Who is answered: hosts, origins, fetch metadata and methods, every combination of them, and the token."""

from __future__ import annotations

import itertools
import socket
from collections import Counter
from dataclasses import replace

import pytest

from attacks import sound
from kopal.errors import UsageError
from kopal.serve import Settings
from kopal.serve.app import App
from kopal.serve.service import Service
from serving import LOCAL, PLAIN, ask

HOSTS = {
    "localhost:8000": True,
    "LocalHost": True,
    "127.0.0.1:9": True,
    "[::1]:8000": True,
    "photos.example.org": True,  # by --allow-host
    "evil.example": False,
    "localhost.evil.example": False,
    "127.0.0.1.nip.io:8000": False,
    "192.168.1.7:8000": False,
    "user@localhost": False,
    "localhost:8000:8000": False,
    "": False,
    None: False,
}
ORIGINS = {
    None: True,
    "SAME": True,
    "null": False,
    "http://evil.example": False,
    "http://localhost:1": False,
    "https://localhost.evil.example": False,
    "file://": False,
}
SITES = {None: True, "same-origin": True, "none": True, "same-site": False, "cross-site": False, "nonsense": False}
METHODS = {"GET": True, "HEAD": True, "POST": False, "DELETE": False, "OPTIONS": False}
TOKEN = "correct-horse-battery"


def cold(settings: Settings) -> App:
    """An application that passes guard and route, and is never warm: what gets through says 200, 405 or 503."""
    return App(Service(sound(), settings), lambda noun: None)


def test_only_the_allowlist_passes_in_every_combination() -> None:
    app = cold(replace(PLAIN, allow_hosts=("photos.example.org",)))
    cells = list(itertools.product(HOSTS, ORIGINS, SITES, METHODS))
    assert len(cells) >= 300
    seen: Counter[bool] = Counter()
    for host, origin, site, method in cells:
        headers = [("host", host)] if host is not None else []
        headers += [("origin", f"http://{host}" if origin == "SAME" else origin)] if origin else []
        headers += [("sec-fetch-site", site)] if site else []
        headers += [("content-type", "image/png")]
        status = ask(app, method, "/v1/predict" if method == "POST" else "/", headers).status
        expected = HOSTS[host] and (METHODS[method] or (ORIGINS[origin] and SITES[site]))
        assert (status in {200, 405, 503}) == expected, (host, origin, site, method, status)
        assert expected or status in {400, 403, 421}
        seen[expected] += 1
    assert min(seen.values()) > 100


def test_no_answer_has_a_cors_header_and_every_answer_is_armoured() -> None:
    app = cold(PLAIN)
    for method, path in (("GET", "/"), ("OPTIONS", "/v1/predict"), ("GET", "/nothing"), ("POST", "/v1/predict")):
        reply = ask(app, method, path, (*LOCAL, ("origin", "http://localhost:8000")))
        assert not [name for name in reply.headers if name.startswith("access-control")]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert len(reply.headers["x-request-id"]) == 16


def test_behind_a_proxy_with_tls_the_origin_has_no_port() -> None:
    app = cold(replace(PLAIN, allow_hosts=("photos.example.org",)))
    proxied = (("host", "photos.example.org"), ("origin", "https://photos.example.org"))
    assert ask(app, "POST", "/v1/predict", proxied).status in {415, 503}
    assert ask(app, "POST", "/v1/predict", (proxied[0], ("origin", "https://photos.example.org:444"))).status == 403


def test_repeated_and_contradicting_headers_are_refused() -> None:
    app = cold(PLAIN)
    for headers in (
        (*LOCAL, ("host", "evil.example")),
        (*LOCAL, ("origin", "http://localhost:8000"), ("origin", "http://evil.example")),
        (*LOCAL, ("content-length", "3"), ("transfer-encoding", "chunked")),
    ):
        assert ask(app, "POST", "/v1/predict", headers).status == 400


def test_with_a_token_only_health_and_the_empty_page_are_open() -> None:
    app = cold(replace(PLAIN, token=TOKEN))
    right = ("authorization", f"Bearer {TOKEN}")
    for path in ("/", "/page.js", "/docs", "/v2/health/live", "/v2/health/ready", "/v2/models/model/ready"):
        assert ask(app, "GET", path).status in {200, 503}
    for path in ("/metrics", "/openapi.json", "/v2", "/v2/models/model", "/v2/models/model/versions/1"):
        refused = ask(app, "GET", path)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert ask(app, "GET", path, (*LOCAL, right)).status == 200
    for wrong in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer \xff"):
        assert ask(app, "POST", "/v1/predict", (*LOCAL, ("authorization", wrong))).status == 401
    assert ask(app, "POST", "/v1/predict", (*LOCAL, right, right)).status == 400


def test_an_address_that_others_reach_needs_a_token_or_the_wish_to_have_none() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.7", "photos.example.org"):
        with pytest.raises(UsageError, match="lets every machine") as caught:
            replace(PLAIN, host=host)
        assert "--host 127.0.0.1" in caught.value.fix
        assert "--token" in caught.value.expected
        assert replace(PLAIN, host=host, token=TOKEN).public
        assert replace(PLAIN, host=host, no_auth=True).public
    for host in ("127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"):
        assert not replace(PLAIN, host=host).public


def test_a_public_server_answers_to_addresses_in_figures_and_its_own_name_but_to_no_other() -> None:
    app = cold(replace(PLAIN, host="0.0.0.0", no_auth=True))
    for host, status in (
        ("192.168.1.7:8000", 200),
        ("[fe80::1]", 200),
        (socket.gethostname(), 200),
        ("evil.example", 421),
    ):
        assert ask(app, "GET", "/", (("host", host),)).status == status


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"queue": 0},
        {"deadline": 0.0},
        {"max_body": 0},
        {"token": "short"},
        {"token": "ž" * 20},
        {"name": "a/b"},
        {"name": ""},
        {"max_batch": -1},
        {"max_wait_ms": -1.0},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(PLAIN, **wrong)
