"""Who asks over HTTP: addresses behind proxies, and pages of other sites."""

import pytest

from disroom.transports.webvisitor import Origins, Proxies


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "visitor"),
    [
        ([], "192.0.2.1", [b"203.0.113.9"], "192.0.2.1"),
        (["192.0.2.1"], "192.0.2.1", [b"203.0.113.9"], "203.0.113.9"),
        (["192.0.2.1"], "192.0.2.1", [], "192.0.2.1"),
        (["192.0.2.1"], "192.0.2.1", [b"6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["192.0.2.1"], "192.0.2.1", [b"6.6.6.6", b"203.0.113.9"], "203.0.113.9"),
        (["192.0.2.0/24"], "192.0.2.1", [b"203.0.113.9, 192.0.2.7"], "203.0.113.9"),
        (["192.0.2.0/24"], "192.0.2.1", [b"nonsense"], "192.0.2.1"),
        (["192.0.2.0/24"], "192.0.2.1", [b"203.0.113.9, nonsense"], "192.0.2.1"),
        (["192.0.2.0/24"], "::ffff:192.0.2.1", [b"2001:db8::5"], "2001:db8::5"),
        (["unix"], None, [b"203.0.113.9"], "203.0.113.9"),
        ([], None, [b"203.0.113.9"], None),
        (["192.0.2.1"], None, [b"203.0.113.9"], None),
    ],
)
def test_only_proxies_that_are_believed_say_who_asks(
    trusted: list[str], peer: str | None, forwarded: list[bytes], visitor: str | None
) -> None:
    """What a client writes into X-Forwarded-For itself changes nothing."""
    assert Proxies(trusted).visitor(peer, forwarded) == visitor


def test_what_is_no_address_is_no_proxy() -> None:
    """It is found at start."""
    with pytest.raises(ValueError, match="nginx"):
        Proxies(["nginx.example.org"])


@pytest.mark.parametrize(
    ("allowed", "origin", "host", "may"),
    [
        ([], b"http://chat.example.org", b"chat.example.org", True),
        ([], b"https://chat.example.org", b"chat.example.org", True),
        ([], b"https://chat.example.org", b"chat.example.org:443", True),
        ([], b"http://chat.example.org:8081", b"chat.example.org:8081", True),
        ([], b"http://[::1]:8081", b"[::1]:8081", True),
        ([], b"http://CHAT.example.org", b"chat.EXAMPLE.org", True),
        ([], None, b"chat.example.org", True),
        ([], b"http://chat.example.org", b"chat.example.org:8081", False),
        ([], b"https://evil.example", b"chat.example.org", False),
        ([], b"http://chat.example.org.evil.example", b"chat.example.org", False),
        ([], b"http://chat.example.org@evil.example", b"evil.example", False),
        ([], b"null", b"chat.example.org", False),
        ([], b"", b"", False),
        ([], b"file://", b"chat.example.org", False),
        ([], b"http://chat.example.org", None, False),
        ([], b"http://[", b"[", False),
        (["https://chat.example.org"], b"https://chat.example.org", b"backend:8081", True),
        (["https://chat.example.org"], b"https://chat.example.org:443", b"backend", True),
        (["https://chat.example.org"], b"http://chat.example.org", b"chat.example.org", False),
        (["https://a.example", "https://b.example"], b"https://b.example", b"x", True),
    ],
)
def test_pages_of_other_sites_are_told_from_ours(
    allowed: list[str], origin: bytes | None, host: bytes | None, may: bool
) -> None:
    """A browser lets any page try; programs send no Origin."""
    assert Origins(allowed).allows(origin, host) is may


@pytest.mark.parametrize("written", ["chat.example.org", "https://chat.example.org/page", "*"])
def test_what_is_no_origin_is_refused(written: str) -> None:
    """It is found at start."""
    with pytest.raises(ValueError, match="origin"):
        Origins([written])
