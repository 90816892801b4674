"""RedisPresence when Redis has lost its data or its clock: the settle window."""

import time
from collections.abc import Callable

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from disroom.adapters.redis.settling import SETTLE_MARGIN, SettleWindow
from tests.adapters.redis.redis_chat import (
    ALICE,
    ATTIC,
    BOB,
    CAROL,
    LOBBY,
    NewProxy,
    NewRedis,
    RedisChat,
    cut_off,
    outcome,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.redis import RedisKind, RedisServer

JUMP = """
local leases = KEYS[1] .. ':leases'
for _, incarnation in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  redis.call('ZINCRBY', leases, ARGV[1], incarnation)
end
redis.call('HINCRBY', KEYS[1] .. ':epoch', 'seen', ARGV[1])
"""
"""Makes the clock of Redis jump the other way, as seen from what is in the store."""


def lose_everything_by_restart(server: RedisServer) -> None:
    """Kill a Redis without persistence and start it again."""
    server.kill()
    server.start()


def lose_everything_by_command(server: RedisServer) -> None:
    """Empty a Redis under its clients."""
    server.command("FLUSHALL")


@pytest.mark.parametrize("lose", [lose_everything_by_restart, lose_everything_by_command])
@promise
async def test_an_empty_store_is_filled_again(
    chat: RedisChat, new_redis: NewRedis, redis_kind: RedisKind, lose: Callable[..., None]
) -> None:
    """When Redis loses everything, nobody leaves or joins in the eyes of the users."""
    server = new_redis(kind=redis_kind)
    one = await chat.start(server.url)
    two = await chat.start(server.url, "two")
    alice, bob = await one.claimed(ALICE, LOBBY), await two.claimed(BOB, LOBBY, ATTIC)
    await one.presence.rename(alice, CAROL)
    await one.presence.set_away(alice, "lunch")
    await one.claimed(ALICE, LOBBY)
    story = ["+alice", "+bob", "alice>carol", "carol>carol", "+alice"]
    before = await one.presence.users(LOBBY)
    for instance in (one, two):
        await instance.witness.heard(LOBBY, *story)
    lose(server)
    for instance in (one, two):
        await instance.until_settled(False)
        instance.witness.uncertainties = 0
    assert await one.presence.versions([LOBBY]) == {}
    assert await one.presence.emptied() == {}
    for instance in (one, two):
        await instance.until_settled(True)
        await instance.witness.until(lambda witness: witness.uncertainties)
        assert instance.witness.story(LOBBY) == story
        assert instance.witness.lost_sessions == []
    after = await one.presence.users(LOBBY)
    assert after.members == before.members
    assert after.version > before.version
    found = await one.presence.locate(BOB)
    assert found
    assert (found.session, found.instance) == (bob, two.presence.incarnation)
    assert set(found.rooms) == {LOBBY, ATTIC}
    found = await two.presence.locate(CAROL)
    assert found
    assert (found.session, found.away) == (alice, "lunch")


@promise
async def test_versions_do_not_fall_with_the_clock(chat: RedisChat, new_redis: NewRedis) -> None:
    """Lists are compared rightly even after Redis lost its data and an hour of its time."""
    server = new_redis()
    one = await chat.start(server.url)
    server.command("SET", f"{chat.prefix}:mark", round((time.time() + 3600) * 1e6))
    alice = await one.claimed(ALICE, LOBBY)
    before = await one.presence.users(LOBBY)
    assert before.version > (time.time() + 3000) * 1e6
    await one.presence.leave(alice, LOBBY, "")
    again = await one.presence.join(alice, LOBBY, 0)
    assert again.version == before.version + 2
    lose_everything_by_command(server)
    await one.until_settled(False)
    await one.until_settled(True)
    assert (await one.presence.users(LOBBY)).version > again.version


@promise
async def test_nobody_gets_a_name_whose_holder_may_still_come_back(
    chat: RedisChat, new_redis: NewRedis, new_proxy: NewProxy
) -> None:
    """After a crash of Redis, users keep their names though their server is the last to return."""
    server = new_redis()
    proxy = new_proxy(server)
    one = await chat.start(proxy.url, settle=1.5)
    two = await chat.start(server.url, "two", settle=1.5)
    alice, bob = await one.claimed(ALICE, LOBBY), await two.claimed(BOB)
    proxy.refuse()
    lose_everything_by_restart(server)
    await two.until_settled(False)
    waiting = [
        defer.Deferred.fromCoroutine(outcome(work))
        for work in (
            two.claimed(ALICE),
            two.claimed(CAROL),
            two.presence.rename(bob, ALICE),
            two.presence.join(bob, ATTIC, 0),
        )
    ]
    assert await two.names(LOBBY) == []
    proxy.accept()
    await one.until_settled(False)
    assert not any(work.called for work in waiting)
    assert await defer.gatherResults(waiting) == ["nick-taken", "", "nick-taken", ""]
    found = await two.presence.locate(ALICE)
    assert found
    assert found.session == alice


@promise
async def test_who_comes_back_too_late_may_have_lost_its_name(
    chat: RedisChat, new_redis: NewRedis, new_proxy: NewProxy
) -> None:
    """A name belongs to one person even when two servers believed to have given it away."""
    server = new_redis()
    proxy = new_proxy(server)
    one = await chat.start(proxy.url)
    two = await chat.start(server.url, "two")
    alice = await one.claimed(ALICE, LOBBY)
    await one.claimed(CAROL, LOBBY)
    proxy.refuse()
    lose_everything_by_restart(server)
    await two.until_settled(False)
    await two.until_settled(True)
    await two.claimed(ALICE, ATTIC)
    await two.until_it_hears()
    proxy.accept()
    await one.witness.until(lambda witness: witness.lost_sessions == [alice])
    await two.witness.heard(LOBBY, "+alice", "+carol", "+carol")
    assert await outcome(one.presence.join(alice, ATTIC, 0)) == "presence-unavailable"
    assert await two.names(LOBBY) == ["carol"]
    assert await two.names(ATTIC) == ["alice"]


@promise
async def test_a_clock_that_jumps_ahead_kills_nobody(chat: RedisChat, new_redis: NewRedis) -> None:
    """Setting the clock of Redis is not taken for the death of every server."""
    server = new_redis()
    one = await chat.start(server.url)
    two = await chat.start(server.url, "two")
    await one.claimed(ALICE, LOBBY)
    await two.claimed(BOB, LOBBY)
    server.command("EVAL", JUMP, 1, chat.prefix, -3_600_000)
    await one.until_settled(False)
    await one.until_settled(True)
    for instance in (one, two):
        await instance.witness.heard(LOBBY, "+alice", "+bob")
        assert len(instance.incarnations) == 1
    assert await one.names(LOBBY) == ["alice", "bob"]


@promise
async def test_a_clock_that_is_put_back_keeps_nobody_alive(
    chat: RedisChat, new_redis: NewRedis, new_proxy: NewProxy
) -> None:
    """Whose server dies after the clock was put back by an hour is not shown for an hour."""
    server = new_redis()
    proxy = new_proxy(server)
    one = await chat.start(proxy.url)
    two = await chat.start(server.url, "two")
    await one.claimed(ALICE, LOBBY)
    cut_off(proxy)
    server.command("EVAL", JUMP, 1, chat.prefix, 3_600_000)
    await two.witness.heard(LOBBY, "+alice", "-alice (server lost)")


@promise
async def test_a_start_waits_until_the_store_has_settled(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """A server takes users when names can be given, and not before; alone it need not wait."""
    server = new_redis()
    began = time.monotonic()
    one = await chat.start(server.url, alone=False, settle=0.4)
    assert 0.4 <= time.monotonic() - began < 2
    assert await outcome(one.claimed(ALICE)) == ""
    await one.presence.stop()
    lose_everything_by_command(server)
    began = time.monotonic()
    two = await chat.start(server.url, alone=True, settle=3.0)
    assert time.monotonic() - began < 2
    await two.claimed(ALICE)


@promise
async def test_a_replica_that_was_behind_takes_over(chat: RedisChat, new_redis: NewRedis) -> None:
    """Nobody who has left is shown, and every later change is, though its history is older."""
    master, replica = new_redis(), new_redis()
    where = master
    one = await chat.start(lambda: where.url)
    two = await chat.start(lambda: where.url, "two")
    alice = await one.claimed(ALICE, LOBBY)
    gone = await one.claimed(BOB, LOBBY)
    replica.follow(master)
    replica.command("REPLICAOF", "NO", "ONE")
    for _ in range(5):  # the versions go on there
        await one.presence.join(alice, ATTIC, 0)
        await one.presence.leave(alice, ATTIC, "")
    for _ in range(3):
        await one.presence.leave(alice, LOBBY, "")
        await one.presence.join(alice, LOBBY, 0)
    await one.presence.release(gone, "bye")
    before = (await two.presence.users(LOBBY)).version
    where = replica
    master.kill()
    await eventually(lambda: chat.hearing(replica) == 2)
    for instance in (one, two):
        await instance.until_settled(True)
    roster = await two.presence.users(LOBBY)
    assert [str(member.nick) for member in roster.members or ()] == ["alice"]
    assert roster.version > before
    await two.claimed(BOB)
    assert (await one.presence.users(ATTIC)).members == ()


@promise
async def test_instances_try_often_enough_to_be_back_in_a_short_window(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """However long Redis was away, both have put their users back before the window ends."""
    server = new_redis()
    asked: list[float] = []

    def where() -> str:
        asked.append(time.monotonic())
        return server.url

    await chat.start(where, settle=0.1)
    server.kill()
    asked.clear()
    # By the longest pause there is otherwise, two connections make 12 attempts in 2 s.
    await eventually(lambda: len(asked) >= 30, 2.0)


def test_the_end_of_a_window_is_that_of_which_was_told_last() -> None:
    """A store that has to settle once more is waited for until it has."""
    clock, ended = Clock(), []
    window = SettleWindow(clock, lambda: ended.append(clock.seconds()))
    assert defer.Deferred.fromCoroutine(window.over()).called
    window.told(3.0)
    waiting = defer.Deferred.fromCoroutine(window.over())
    clock.advance(2.0)
    window.told(3.0)
    window.told(0.0)
    clock.advance(3.0)
    assert not (waiting.called or ended)
    clock.advance(SETTLE_MARGIN)
    assert waiting.called
    assert ended == [5.0 + SETTLE_MARGIN]
    window.told(3.0)
    window.close()
    assert not clock.getDelayedCalls()
