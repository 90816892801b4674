"""How many connections there may be, and from where."""

from __future__ import annotations

import pytest

from disroom.transports.connections import Connections
from disroom.wire.errors import GoingDown, ServerFull, TooManyConnections
from tests.transports.member import Client


def test_the_last_place_is_given_once_and_given_again() -> None:
    """Who is one too many is refused, until somebody goes."""
    connections = Connections(2)
    first, second, third = Client(), Client(), Client()
    connections.admit(first)
    connections.admit(second)
    with pytest.raises(ServerFull):
        connections.admit(third)
    connections.forget(third)
    connections.forget(first)
    connections.admit(third)
    assert len(connections) == 2


def test_one_address_cannot_take_all_places() -> None:
    """Each address has its own count, which falls when its connections go."""
    connections = Connections(100, 2)
    clients = [Client() for _ in range(3)]
    for client in clients:
        connections.admit(client)
    connections.locate(clients[0], "192.0.2.1")
    connections.locate(clients[1], "192.0.2.1")
    with pytest.raises(TooManyConnections):
        connections.locate(clients[2], "192.0.2.1")
    connections.locate(clients[2], "2001:db8::1")
    connections.forget(clients[0])
    connections.forget(clients[0])
    newcomer, another = Client(), Client()
    connections.admit(newcomer)
    connections.locate(newcomer, "192.0.2.1")
    connections.admit(another)
    with pytest.raises(TooManyConnections):
        connections.locate(another, "192.0.2.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", None])
def test_this_machine_has_no_limit_of_its_own(host: str | None) -> None:
    """Whoever runs the instance, and unix sockets, are not counted by address."""
    connections = Connections(100, 1)
    for _ in range(5):
        client = Client()
        connections.admit(client)
        connections.locate(client, host)


def test_what_a_proxy_says_need_not_be_an_address() -> None:
    """Whoever writes a header of the PROXY protocol by hand is counted, and harms nobody."""
    connections = Connections(100, 1)
    first, second = Client(), Client()
    for client in first, second:
        connections.admit(client)
    connections.locate(first, "somewhere")
    with pytest.raises(TooManyConnections):
        connections.locate(second, "somewhere")


def test_everybody_is_told_when_the_instance_goes_down() -> None:
    """All are closed with the reason, and the wait ends when the last one is gone."""
    connections = Connections(10)
    clients = [Client(), Client()]
    for client in clients:
        connections.admit(client)
    connections.close_all()
    assert all(isinstance(client.closed, GoingDown) for client in clients)
    gone = connections.all_gone()
    connections.forget(clients[0])
    assert not gone.called
    connections.forget(clients[1])
    assert gone.called
    assert connections.all_gone().called
