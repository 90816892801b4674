"""RedisPresence where Redis Sentinel says which server is the master."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from disroom.adapters.redis.address import RedisAddress, RedisSentinels
from disroom.adapters.redis.instance import PresenceStartError
from tests.adapters.redis.redis_chat import ALICE, BOB, CAROL, LOBBY, NewRedis, RedisChat, outcome
from tests.contract.witness import promise
from tests.eventually import eventually, eventually_blocking
from tests.processes.sentinel import Sentinel, WatchedRedis

NewSentinel = Callable[..., Sentinel]


@promise
async def test_passwords_of_both_kinds(chat: RedisChat, tmp_path: Path) -> None:
    """The Sentinels have theirs and the servers have theirs; one Sentinel is enough to ask."""
    with WatchedRedis(tmp_path, password="for-redis", sentinel_password="for-sentinels") as watched:
        watched.sentinels[0].kill()
        watched.sentinels[1].pause()
        one = await chat.start(
            watched.url,
            credentials={"password": "for-redis", "sentinel_password": "for-sentinels"},
        )
        await one.claimed(ALICE, LOBBY)
        assert watched.servers[0].command("EXISTS", f"{chat.prefix}:nicks") == 1
        for credentials, words in (
            ({"password": "for-redis"}, r"^Sentinel at redis://127\.0\.0\.1:\d+: it asks for"),
            (
                {"password": "for-redis", "sentinel_password": "guess"},
                r"^Sentinel at redis://127\.0\.0\.1:\d+: wrong user name or password$",
            ),
            (
                {"password": "guess", "sentinel_password": "for-sentinels"},
                rf"^Redis at redis://127\.0\.0\.1:{watched.servers[0].port}: wrong user name or",
            ),
        ):
            with pytest.raises(PresenceStartError, match=words):
                await chat.make(watched.url, "two", credentials=credentials).presence.start()
        watched.sentinels[1].resume()


@promise
async def test_instances_move_to_the_new_master(
    chat: RedisChat, watched_redis: WatchedRedis
) -> None:
    """After a failover on demand they do not wait for the old one to be told that it is none."""
    one = await chat.start(watched_redis.url)
    two = await chat.start(watched_redis.url, "two")
    await one.claimed(ALICE, LOBBY)
    await two.claimed(BOB, LOBBY)
    old, new = watched_redis.servers
    watched_redis.sentinels[0].command("SENTINEL", "FAILOVER", "mymaster")
    eventually_blocking(lambda: watched_redis.master is new)
    await eventually(lambda: chat.hearing(new) == 2, timeout=3)
    assert old.role[0] == b"master"
    assert chat.hearing(old) == 0
    for instance in (one, two):
        await instance.until_settled(True)
        assert await instance.names(LOBBY) == ["alice", "bob"]
    assert await outcome(one.claimed(BOB)) == "nick-taken"
    await two.claimed(CAROL, LOBBY)
    for instance in (one, two):
        await instance.witness.until(lambda witness: "+carol" in witness.story(LOBBY))


@promise
async def test_who_was_demoted_is_left(
    chat: RedisChat, new_redis: NewRedis, new_sentinel: NewSentinel
) -> None:
    """A master made a replica is given up at once, and used again only once it is a master."""
    first, second = new_redis(), new_redis()
    sentinel = new_sentinel(first)
    one = await chat.start(sentinel.url)
    await one.claimed(ALICE, LOBBY)
    first.follow(second)
    await eventually(lambda: not one.presence.connected)
    with pytest.raises(PresenceStartError, match=r"^Redis at redis://.*: it is no master$"):
        await chat.make(sentinel.url, "two", start_timeout=0.2).presence.start()
    assert not one.presence.connected
    first.command("REPLICAOF", "NO", "ONE")
    await one.until_settled(True)
    assert await one.names(LOBBY) == ["alice"]


@promise
async def test_the_newest_word_counts(
    chat: RedisChat, new_redis: NewRedis, new_sentinel: NewSentinel
) -> None:
    """A Sentinel that has missed a failover leads nobody to the old master, in whatever order."""
    old, new = new_redis(), new_redis()
    stale, fresh = new_sentinel(old, epoch=3), new_sentinel(new, epoch=4)
    for number, sentinels in enumerate(((stale, fresh), (fresh, stale))):
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        await chat.start(f"sentinel://{hosts}/mymaster", f"i{number}")
    assert chat.hearing(new) == 2
    assert chat.hearing(old) == 0


@promise
async def test_what_is_wrong_with_the_sentinels_is_said(
    chat: RedisChat, new_redis: NewRedis, new_sentinel: NewSentinel
) -> None:
    """A wrong name, a wrong port and silence are told apart, and the first two at once."""
    redis = new_redis()
    sentinel = new_sentinel(redis)
    where = f"127.0.0.1:{sentinel.port}"
    for url, words in (
        (f"sentinel://{where}/other", "it knows no master named other"),
        (f"sentinel://127.0.0.1:{redis.port}/mymaster", "it is no Sentinel"),
    ):
        began = time.monotonic()
        with pytest.raises(PresenceStartError, match=f"^Sentinel at redis://.*: {words}$"):
            await chat.make(url).presence.start()
        assert time.monotonic() - began < 1
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sentinel://127.0.0.1:{silent.getsockname()[1]}/mymaster"
        with pytest.raises(PresenceStartError, match="no answer"):
            await chat.make(url, start_timeout=0.1).presence.start()
    sentinel.kill()
    with pytest.raises(PresenceStartError, match=f"^Sentinel at redis://{where}: connection"):
        await chat.make(sentinel.url, start_timeout=0.1).presence.start()


@pytest.mark.parametrize(
    ("url", "shown", "hosts", "database"),
    [
        ("sentinel://a/m", "sentinel://a:26379/m", [("a", 26379)], 0),
        ("redis+sentinel://a/m", "sentinel://a:26379/m", [("a", 26379)], 0),
        ("sentinel://a:1,b/m/2", "sentinel://a:1,b:26379/m/2", [("a", 1), ("b", 26379)], 2),
        ("sentinel://u:p%40ss@a,b/my.m-1", "sentinel://a:26379,b:26379/my.m-1", None, 0),
        ("sentinel://[::1]:2,[::2]/m", "sentinel://[::1]:2,[::2]:26379/m", None, 0),
    ],
)
def test_every_form_of_url(
    url: str, shown: str, hosts: list[tuple[str, int]] | None, database: int
) -> None:
    """Sentinels are configured by the URL that other clients take."""
    parsed = RedisSentinels.parse(url, sentinel_password="s3cret")
    assert str(parsed) == shown
    assert hosts is None or [(each.host, each.port) for each in parsed.addresses] == hosts
    assert parsed.master.database == database
    assert all(each.password == "s3cret" for each in parsed.addresses)
    assert "s3cret" not in f"{parsed!r}" and "p@ss" not in f"{parsed!r}"


def test_whose_credentials_a_url_has() -> None:
    """Those in the URL are the servers', and those given apart win."""
    parsed = RedisSentinels.parse("sentinel://ann:old@a/m", sentinel_username="sam")
    assert parsed.master == RedisAddress(username="ann", password="old")
    assert (parsed.addresses[0].username, parsed.addresses[0].password) == ("sam", None)
    assert RedisSentinels.parse("sentinel://ann:old@a/m", password="new").master.password == "new"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "sentinel://a",
            "sentinel://a: the master's name is missing, as in sentinel://host/mymaster",
        ),
        (
            "sentinel:a/m",
            "not a Sentinel URL, as in sentinel://host-1:26379,host-2:26379/mymaster",
        ),
        ("sentinel://u:pass@/m", "sentinel:///m: '' is not the HOST or HOST:PORT of a Sentinel"),
        ("sentinel://a,/m", "'' is not the HOST or HOST:PORT of a Sentinel"),
        ("sentinel://a:99999/m", "'a:99999' is not the HOST or HOST:PORT of a Sentinel"),
        ("sentinel://u:pass@a:x/m", "'a:x' is not the HOST or HOST:PORT of a Sentinel"),
        ("sentinel://a/m/lobby", "sentinel://a/m/lobby: not a Sentinel URL"),
        ("sentinel://a/m?db=1", "not a Sentinel URL"),
        (
            "rediss+sentinel://u:pass@a/m",
            "rediss+sentinel://a/m: TLS is not supported with Sentinel",
        ),
    ],
)
def test_a_wrong_url_is_explained(url: str, words: str) -> None:
    """It is answered with what is wrong about it, and without the password."""
    with pytest.raises(ValueError) as refused:
        RedisSentinels.parse(url)
    assert words in str(refused.value)
    assert "pass" not in str(refused.value)
