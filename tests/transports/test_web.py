"""The site without a socket: its files, their headers, and what is not served."""

from __future__ import annotations

import gzip
import subprocess
import sys
from importlib.resources import files

import pytest

from tests.transports.test_websocket import Browser, WebHouse

FILES = sorted(file.name for file in files("disroom").joinpath("web").iterdir())


def get(
    path: str, method: str = "GET", /, **headers: str | None
) -> tuple[int, dict[str, str], bytes]:
    """Ask a fresh site for something: status, headers and body."""
    answer = Browser(WebHouse()).request(path, method, **{"Host": "localhost", **headers})
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_page_is_served(name: str) -> None:
    """As it is, and with its type: browsers take a script by nothing else here."""
    status, headers, body = get(f"/{name}")
    assert status == 200
    assert body == files("disroom").joinpath("web", name).read_bytes()
    kind = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
    assert headers["content-type"].startswith(kind[name.rpartition(".")[2]])


def test_the_page_is_at_the_root() -> None:
    """With any query, which links bring along."""
    assert get("/")[2] == get("/index.html")[2] == get("/?from=mail")[2]


def test_nothing_in_the_page_comes_from_elsewhere() -> None:
    """No other host, and nothing inline, which its policy would refuse."""
    page = get("/")[2].decode()
    assert "//" not in page.replace("<!doctype html>", "")
    for inline in ("<style", " style=", " onclick=", "javascript:"):
        assert inline not in page
    assert page.count("<script") == page.count('<script type="module" src="/')


@pytest.mark.parametrize("path", ["/", "/app.js", "/nothing", "/ws"])
def test_every_answer_carries_the_policy(path: str) -> None:
    """Errors too."""
    headers = get(path)[1]
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["server"] == "DisRoom"


def test_what_a_browser_has_is_not_sent_again() -> None:
    """It asks each time, by the tag."""
    _, headers, _ = get("/app.js")
    assert headers["cache-control"] == "no-cache"
    status, _, body = get("/app.js", **{"If-None-Match": headers["etag"]})
    assert (status, body) == (304, b"")
    assert get("/app.js", **{"If-None-Match": '"another"'})[0] == 200


def test_files_are_compressed_for_whoever_takes_it() -> None:
    """With another tag, since it is not the same bytes."""
    plain = get("/app.js", **{"Accept-Encoding": "gzip;q=0, identity"})
    status, headers, body = get("/app.js", **{"Accept-Encoding": "br, gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == plain[2]
    assert headers["etag"] != plain[1]["etag"]
    assert headers["vary"] == "accept-encoding"
    assert "content-encoding" not in plain[1]


def test_head_has_everything_but_the_body() -> None:
    """The length as well."""
    status, headers, body = get("/style.css", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 1000


@pytest.mark.parametrize("path", ["/nothing", "/app.js/more", "/../config.py", "/%2e%2e/tap.py"])
def test_there_is_nothing_else(path: str) -> None:
    """No file but the page's can be reached by any path."""
    status, headers, body = get(path)
    assert status == 404
    assert headers["content-type"].startswith("text/plain")
    assert body == b"There is nothing here.\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_answered(method: str) -> None:
    """Anything else is told which would do."""
    status, headers, _ = get("/", method)
    assert status == 405
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "header", [{"Content-Length": "1000000000"}, {"Transfer-Encoding": "chunked"}]
)
def test_a_body_is_refused_before_any_of_it_is_kept(header: dict[str, str]) -> None:
    """Or it would lie in a file of the server's until it is whole."""
    browser = Browser(WebHouse())
    assert browser.request("/", "POST", **header).startswith(b"HTTP/1.1 413 ")
    assert browser.transport.disconnecting
    browser.type(b"x" * 100_000)
    assert browser.transport.value() == b""


def test_what_is_no_http_is_refused() -> None:
    """A telnet user at the wrong door is told so and let go."""
    browser = Browser(WebHouse())
    browser.type(b"join tea\r\n\r\n")
    assert browser.transport.value().startswith(b"HTTP/1.1 400 ")
    assert browser.transport.disconnecting


def test_who_serves_no_page_does_not_pay_for_it() -> None:
    """The imports cost a tenth of a second, and are left out without --web."""
    program = (
        "import sys, disroom.tap;"
        "sys.exit(bool({'twisted.web', 'wsproto', 'disroom.transports.web'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
