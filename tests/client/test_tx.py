"""What the Twisted shell adds to the core: the beginnings and ends of a service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from disroom import client
from disroom.client.tx import EXIT_SECONDS, ChatService


@contextmanager
def logged() -> Iterator[list[Any]]:
    """What is logged meanwhile."""
    events: list[Any] = []
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(observer)


def service(reactor: Any, heard: Any = lambda event: None) -> ChatService:
    """A service, not started."""
    return ChatService(reactor, ["127.0.0.1:7"], nick="ann", rooms=["tea"], heard=heard)


def test_a_service_that_is_stopped_before_it_connects_leaves_nothing() -> None:
    """No connection, no timer, nothing to wait for."""
    reactor = MemoryReactorClock()
    chat = service(reactor)
    chat.startService()
    reactor.advance(0)
    assert reactor.tcpClients
    assert chat.stopService() is None
    assert not reactor.getDelayedCalls()


def test_a_service_with_something_to_say_waits_for_a_connection_only_so_long() -> None:
    """Stopping is bounded, and who waits for an answer is told."""
    reactor = MemoryReactorClock()
    chat = service(reactor)
    chat.startService()
    failed: list[Any] = []
    said: Any = chat.send("tea", "hi")
    said.addErrback(lambda failure: failed.append(failure.value.code))
    stopped = chat.stopService()
    assert stopped is not None
    reactor.pump([1.0] * int(EXIT_SECONDS))
    assert stopped.called
    assert failed == ["closed"]
    assert not [call for call in reactor.getDelayedCalls() if call.getTime() > reactor.seconds()]


def test_a_service_can_be_started_again() -> None:
    """It begins as if new."""
    reactor = MemoryReactorClock()
    chat = service(reactor)
    chat.startService()
    chat.stopService()
    chat.startService()
    reactor.advance(0)
    assert len(reactor.tcpClients) == 1
    assert list(chat.rooms) == ["tea"]
    answer: Any = chat.motd()
    answer.addErrback(lambda failure: None)
    assert not answer.called  # it waits for a connection
    chat.stopService()


def test_what_is_left_of_a_connection_says_nothing_to_a_service_that_began_again() -> None:
    """Where the server took no notice of the end, its connection is lost in a later turn."""
    reactor = MemoryReactorClock()
    chat = service(reactor)
    chat.startService()
    reactor.advance(0)
    _, _, factory, _, _ = reactor.tcpClients[0]
    transport: Any = StringTransport()
    transport.setTcpNoDelay = lambda on: None
    connection: Any = factory.buildProtocol(None)
    connection.makeConnection(transport)
    assert transport.value()
    stopped = chat.stopService()
    assert stopped is not None
    stopped.addCallback(lambda _: chat.startService())
    reactor.pump([1.0] * int(EXIT_SECONDS))
    assert transport.disconnected and chat.running
    connection.dataReceived(b"Welcome")
    connection.connectionLost(Failure(ConnectionAborted()))
    reactor.pump([1.0] * 10)
    assert len(reactor.tcpClients) == 2
    chat.stopService()


@pytest.mark.parametrize("way", ["raises", "coroutine", "deferred"])
def test_what_fails_while_an_event_is_taken_is_logged(way: str) -> None:
    """A mistake of the program is seen, and the next event is given to it."""

    async def later(event: client.Event) -> None:
        raise RuntimeError("mistake")

    def heard(event: client.Event) -> object:
        taken.append(event)
        if way == "raises":
            raise RuntimeError("mistake")
        return later(event) if way == "coroutine" else fail(RuntimeError("mistake"))

    taken: list[client.Event] = []
    chat = service(MemoryReactorClock(), heard)
    with logged() as log:
        for _ in range(2):
            chat._core._events.append(client.Connected("ann", False, "srv"))
            chat._pass_on()
    assert len(taken) == 2
    failures = [str(event["log_failure"].value) for event in log if "log_failure" in event]
    assert failures == ["mistake", "mistake"]


def test_an_answer_that_comes_too_late_for_who_cancelled_it_is_dropped() -> None:
    """Twisted's own cancelling works."""
    chat = service(MemoryReactorClock())
    answer: Any = chat.join("tea")
    assert isinstance(answer, Deferred)
    failed: list[Any] = []
    answer.addErrback(failed.append)
    answer.cancel()
    assert len(failed) == 1
    chat._core.close()


def test_the_end_of_a_chat_is_logged_where_nobody_asked_to_be_told() -> None:
    """A service that gives up does not do so in silence."""
    chat = service(MemoryReactorClock())
    with logged() as log:
        chat.startService()
        chat._core.close(client.ChatFailed("nick-taken", "ann is taken"))
        chat.connection_lost("closed")
    chat.stopService()
    assert [event["code"] for event in log if "code" in event] == ["nick-taken"]
