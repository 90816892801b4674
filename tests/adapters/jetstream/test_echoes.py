"""Who hears that its message has come back from the stream."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from disroom.adapters.jetstream.api import Acknowledged, Outcome
from disroom.adapters.jetstream.echoes import Echoes
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NoAnswer
from disroom.adapters.nats.settings import NatsSettings


@pytest.fixture
def echoes() -> Echoes:
    """Those of an instance whose connection stays as it is."""
    return Echoes(NatsConnection(lambda: NatsSettings(()), clock=Clock(), instance_name="test"))


def test_a_message_that_comes_back_is_told_of_once(echoes: Echoes) -> None:
    """However often it is shown, and only to who waits for that one."""
    mine: list[Outcome] = []
    others: list[Outcome] = []
    echoes.expect("m1", mine.append)
    echoes.expect("m2", others.append)
    for _ in range(2):
        echoes.seen("m1", 7)
    assert mine == [Acknowledged(7)]
    assert not others


def test_who_publishes_a_message_anew_leaves_nobody_waiting(echoes: Echoes) -> None:
    """A client that says the same again is told what became of it, and so was who asked before."""
    first: list[Outcome] = []
    second: list[Outcome] = []
    echoes.expect("m1", first.append)
    echoes.expect("m1", second.append)
    (outcome,) = first
    assert isinstance(outcome, NoAnswer)
    echoes.seen("m1", 7)
    assert second == [Acknowledged(7)]
    assert len(first) == 1


def test_of_what_was_told_otherwise_nothing_is_kept(echoes: Echoes) -> None:
    """A message that failed and turns up late is told to nobody who no longer waits."""
    told: list[Outcome] = []
    echoes.expect("m1", told.append)
    echoes.forget("m1")
    echoes.seen("m1", 7)
    echoes.give_up("m1")
    assert not told
