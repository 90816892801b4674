"""Where a client connects, and when it tries again."""

import pytest

from disroom.client.addresses import LONGEST_PAUSE, WELCOMED_PAUSE, Address, Attempts


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("chat", Address("chat", 8080)),
        ("chat:23", Address("chat", 23)),
        ("tcp://chat:23", Address("chat", 23)),
        (" 10.0.0.1:23 ", Address("10.0.0.1", 23)),
        ("[::1]:23", Address("::1", 23)),
        ("tls://chat:23", Address("chat", 23, tls=True)),
        ("tls://[::1]", Address("::1", 8080, tls=True)),
    ],
)
def test_an_address_names_a_server(text: str, address: Address) -> None:
    """An address is written as everywhere, and can be written down again."""
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", ":23", "chat:", "chat:0", "chat:65536", "a b", "http://chat"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """A mistake is told before anything is tried."""
    with pytest.raises(ValueError, match="was expected"):
        Address.parse(text) if text != "a b" else Attempts(["http://chat"])


def test_an_address_is_needed() -> None:
    """There is no telling where to connect without one."""
    with pytest.raises(ValueError, match="needed"):
        Attempts([])


def test_every_server_is_tried_at_once_and_then_more_and_more_slowly() -> None:
    """A server that died costs no time where another is there; one that is away is not flooded."""
    attempts = Attempts(["a", "b"], random_=lambda: 0.999)
    tried = [attempts.next() for _ in range(14)]
    assert {str(address) for _, address in tried[:2]} == {"a:8080", "b:8080"}
    pauses = [pause for pause, _ in tried]
    assert pauses[:2] == [0.0, 0.0]
    assert pauses == sorted(pauses)
    assert 0 < pauses[2] < 0.11
    assert LONGEST_PAUSE / 2 <= pauses[-1] <= LONGEST_PAUSE
    attempts.succeeded()
    assert attempts.next()[0] == 0.0


def test_clients_do_not_come_back_in_step() -> None:
    """The pause and the first server are drawn at random."""
    low, high = (Attempts(["a", "b"], random_=lambda at=at: at) for at in (0.0, 0.999))  # type: ignore[misc]
    first = [low.next()[1], high.next()[1]]
    assert first[0] != first[1]
    for _ in range(4):
        low.next(), high.next()
    assert low.next()[0] < high.next()[0]


def test_who_was_let_in_does_not_wait_long_for_the_next_server() -> None:
    """Servers that die one after the other leave a client time to take its session up again."""
    attempts = Attempts(["a", "b"], random_=lambda: 0.999)
    for _ in range(20):
        attempts.next()
    attempts.welcomed()
    pauses = [attempts.next()[0] for _ in range(3)]
    assert 0 < pauses[0] <= WELCOMED_PAUSE < pauses[-1]
    attempts.succeeded()
    attempts.welcomed()
    assert attempts.next()[0] == 0.0
