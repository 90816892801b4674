"""What an instance tells the store where the two may differ, however that goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred

from disroom.adapters.redis.connection import RedisUnavailable
from disroom.adapters.redis.holdings import Held, Holdings
from disroom.adapters.redis.reconciliation import MOST_STRAYS, Reconciliation
from disroom.adapters.redis.scripts import Reply
from disroom.chat.names import Nick
from tests.contract.witness import promise


class Told:
    """A store that answers as it is told to, and an instance that holds some sessions.

    Attributes:
        asked: The scripts that were run, with their arguments.
        answers: What each script answers: "ok" with this, or where it is a Reply that.
        parted: The sessions that were found to be another's: ``-lost``, ``>moved``.
    """

    def __init__(self, *sessions: str) -> None:
        self.asked: list[tuple[str, list[Any]]] = []
        self.answers: dict[str, object] = {"assert": ((), ()), "held": list(sessions)}
        self.parted: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.now = 100.0
        self.holdings = Holdings()
        for session in sessions:
            self.holdings.sessions[session] = Held(Nick.parse(session), since=1)
        self.reconciliation = Reconciliation(
            self.holdings,
            grace=30.0,
            clock=lambda: self.now,
            lost=lambda session: self.parted.append(f"-{session}"),
            moved=lambda session: self.parted.append(f">{session}"),
        )

    async def run(self, script: str, /, *arguments: str | bytes | int) -> Reply:
        """Answer."""
        self.asked.append((script, list(arguments)))
        self.meanwhile()
        answer = self.answers.get(script)
        if isinstance(answer, Reply):
            return answer
        return Reply("ok", msgspec.Raw(msgspec.msgpack.encode(answer)))

    def of(self, script: str) -> list[list[Any]]:
        """The arguments of each run of a script."""
        return [arguments for name, arguments in self.asked if name == script]


@promise
async def test_who_lost_a_nick_and_who_went_elsewhere_are_told_apart() -> None:
    """Each once; and who has hung up meanwhile is told nothing."""
    told = Told("ann", "bob", "cat", "dan")
    told.answers["assert"] = (("ann", "dan"), ("bob",))
    told.meanwhile = lambda: (
        told.holdings.owe("dan", "") if "dan" in told.holdings.sessions else None
    )
    await told.reconciliation.everything(told.run)
    assert told.parted == ["-ann", ">bob"]
    assert told.of("held")  # what it takes for ours is looked into as well
    assert list(told.holdings.sessions) == ["cat"]


@promise
async def test_what_the_store_lacks_is_asserted_and_nothing_else() -> None:
    """A comparison costs what differs, not what is held."""
    told = Told("ann", "bob")
    told.answers["held"] = ["ann"]
    await told.reconciliation.compare(told.run)
    ((batch,),) = told.of("assert")
    assert [entry[0] for entry in msgspec.msgpack.decode(batch)] == ["bob"]


@promise
async def test_the_store_gives_up_what_nobody_here_knows_in_steps() -> None:
    """However many they are, others are served in between; and who is known stays."""
    told = Told("ann")
    told.holdings.owed["owed"] = "connection lost"
    told.holdings.resuming.append("resuming")
    strays = [f"s{number}" for number in range(2 * MOST_STRAYS + 1)]
    told.answers["held"] = [*strays, "ann", "owed", "resuming"]
    await told.reconciliation.compare(told.run)
    steps = told.of("disown")
    assert [len(sessions) for _, *sessions in steps] == [MOST_STRAYS, MOST_STRAYS, 1]
    assert sorted(session for _, *sessions in steps for session in sessions) == sorted(strays)
    assert {grace for grace, *_ in steps} == {30_000}
    assert not told.of("assert")


@promise
async def test_a_difference_is_noticed_unless_a_release_explains_it() -> None:
    """What is under way anyway costs no comparison."""
    told = Told("ann", "bob")
    assert not told.reconciliation.differs(2)
    assert told.reconciliation.differs(1) and told.reconciliation.differs(3)
    told.holdings.owe("bob", "")
    assert not told.reconciliation.differs(2)


@pytest.mark.parametrize("script", ["assert", "release"])
@promise
async def test_what_meets_a_lost_lease_is_done_under_the_next(script: str) -> None:
    """Nothing counts as done that the store has refused."""
    told = Told("ann")
    told.holdings.owed["bob"] = "connection lost"
    told.answers[script] = Reply("stale")
    work = Deferred.fromCoroutine(told.reconciliation.everything(told.run))
    told_of = []
    work.addErrback(lambda failure: told_of.append(failure.trap(RedisUnavailable)))
    assert told_of
    assert told.holdings.owed == {"bob": "connection lost"}
    told.answers[script] = ((), ())
    await told.reconciliation.everything(told.run)
    assert told.of("release")[-1] == ["bob", "connection lost"]
    assert not told.holdings.owed


@promise
async def test_who_is_away_is_noted_with_the_time_that_is_left() -> None:
    """Not who is back by then; who is just being resumed is asked about the next time."""
    told = Told("ann", "bob", "cat", "dan")
    for session, ends in (("ann", 112.5), ("cat", 120.0), ("dan", 99.0)):
        told.holdings.sessions[session].ends = ends
    told.holdings.sessions["ann"].given = "seen"
    told.holdings.unmarked |= {"ann", "bob", "cat", "dan", "gone"}
    told.holdings.resuming.append("cat")
    await told.reconciliation.pay(told.run)
    assert sorted(told.of("suspend"), key=repr) == [["ann", 12_500, "seen"], ["dan", 0, ""]]
    assert told.holdings.unmarked == {"cat"}
