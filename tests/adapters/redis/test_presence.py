"""RedisPresence and its connections: what they cost, and what becomes of them."""

import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from disroom.adapters.redis.instance import PresenceStartError
from disroom.adapters.redis.scripts import members_of
from disroom.chat.events import Member
from disroom.chat.names import Nick
from tests.adapters.redis.redis_chat import (
    ALICE,
    ATTIC,
    BOB,
    CAROL,
    LOBBY,
    NewProxy,
    NewRedis,
    RedisChat,
    outcome,
    session,
)
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.certificates import Certificates
from tests.processes.ports import ReservedPort
from tests.processes.redis import RedisKind, RedisServer
from tests.processes.redis_proxy import CountingProxy


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[CountingProxy]:
    """A proxy before the worker's Redis."""
    with CountingProxy(redis.address) as made:
        yield made


@promise
async def test_join_leave_and_users_are_one_round_trip_each(
    chat: RedisChat, proxy: CountingProxy
) -> None:
    """A user waits for the network once, in a room that the server knows and in one it does not."""
    one = await chat.start(proxy.url, lease=600, tick=60)
    alice = await one.claimed(ALICE)
    await one.claimed(BOB, LOBBY)
    for room in (LOBBY, ATTIC):
        for work in (
            lambda room: one.presence.join(alice, room, 0),
            lambda room: one.presence.users(room),
            lambda room: one.presence.listing(room, 200, 0),
            lambda room: one.presence.leave(alice, room, "bye"),
        ):
            proxy.forget()
            await work(room)
            assert [request.name for request in proxy.requests()] == ["EVALSHA"]
    assert await one.names(LOBBY) == ["bob"]


@promise
async def test_a_crowd_costs_who_comes_and_goes_nothing(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """Of all scripts only the reading of everybody reads everybody."""
    server = new_redis()
    one = await chat.start(server.url, lease=600, tick=60)
    two = await chat.start(server.url, "two", lease=600, tick=60)
    await one.crowd(50, LOBBY)
    version = (await one.presence.users(LOBBY)).version
    server.command("CONFIG", "RESETSTAT")
    alice = await two.claimed(ALICE, key="a" * 64)
    await two.presence.join(alice, LOBBY, version - 20)
    await two.presence.set_away(alice, "")
    await two.presence.rename(alice, BOB)
    await two.presence.suspend(alice, 30)
    await one.presence.resume(alice, "a" * 64, "b" * 64)
    await one.presence.listing(LOBBY, 3, 0)
    await one.presence.listing(LOBBY, 3, version + 5)
    await one.presence.leave(alice, LOBBY, "")
    await one.presence.release(alice, "")
    statistics = server.command("INFO", "commandstats")
    assert isinstance(statistics, bytes)
    assert b"cmdstat_hmget" in statistics
    for command in (b"hgetall", b"hkeys", b"hvals", b"smembers"):
        assert b"cmdstat_" + command not in statistics
    await one.presence.users(LOBBY)
    statistics = server.command("INFO", "commandstats")
    assert isinstance(statistics, bytes)
    assert b"cmdstat_hgetall:calls=1," in statistics


def test_a_crowd_is_read_without_holding_anybody_up() -> None:
    """While an instance learns of thousands in a room it serves the others."""
    clock = TurnCounter()
    crowd = [(f"s{number}", f"{10**15 + number} {number % 2} u{number}") for number in range(2001)]
    random.Random(1).shuffle(crowd)
    flat = [part for each in crowd for part in each]
    found: list[tuple[Member, ...]] = []
    work = defer.Deferred.fromCoroutine(members_of(clock, flat))
    work.addCallback(found.append)
    clock.advance(0)
    assert clock.turns == 3
    nicks = [(str(member.nick), member.session, member.away) for member in found[0]]
    assert nicks == [(f"u{number}", f"s{number}", number % 2 == 1) for number in range(2001)]


class TurnCounter(Clock):
    """Counts how often somebody wanted another turn."""

    turns = 0

    def callLater(self, delay: float, *arguments: Any, **options: Any) -> Any:  # noqa: N802 - Twisted's name
        """Count it."""
        self.turns += 1
        return super().callLater(delay, *arguments, **options)


@promise
async def test_a_list_may_be_longer_than_lua_passes_at_once(
    chat: RedisChat, redis: RedisServer
) -> None:
    """However many are to be named, they are, in their order."""
    one = await chat.start(redis.url, lease=60)
    sessions = await one.crowd(1100, LOBBY)
    for most in (1000, 1001, 1050, 5000):
        listing = await one.presence.listing(LOBBY, most, 0)
        assert [member.session for member in listing.members or ()] == sessions[:most]
        assert listing.total == 1100


@promise
async def test_who_joins_while_changes_are_not_heard_is_told_everybody(
    chat: RedisChat, new_redis: NewRedis, new_proxy: NewProxy
) -> None:
    """A list that nothing keeps up to date is not relied upon."""
    server = new_redis()
    proxy = new_proxy(server)
    one = await chat.start(proxy.url, lease=60)
    two = await chat.start(server.url, "two", lease=60)
    alice, carol = await one.claimed(ALICE), await one.claimed(CAROL)
    known = (await one.presence.join(alice, LOBBY, 0)).version
    proxy.refuse()
    server.command("CLIENT", "KILL", "TYPE", "pubsub")
    await two.claimed(BOB, LOBBY)

    async def told() -> bool:
        await one.presence.leave(carol, LOBBY, "")
        members = (await one.presence.join(carol, LOBBY, known)).members
        return members is not None and len(members) == 3

    await eventually(told)
    proxy.accept()


@promise
async def test_a_silent_redis_is_given_up_within_a_second(
    chat: RedisChat, new_redis: NewRedis, redis_kind: RedisKind
) -> None:
    """A user whose server cannot reach Redis is told so at once, and can go on afterwards."""
    server = new_redis(kind=redis_kind)
    one = await chat.start(server.url, lease=60, timeout=0.5)
    alice = await one.claimed(ALICE, LOBBY)
    server.pause()
    for _ in range(2):  # while the connection is there, and once it has been given up
        began = time.monotonic()
        works = (
            one.presence.claim(session(), BOB),
            one.presence.rename(alice, BOB),
            one.presence.set_away(alice, "away"),
            one.presence.join(alice, ATTIC, 0),
            one.presence.leave(alice, LOBBY, ""),
            one.presence.users(LOBBY),
            one.presence.listing(LOBBY, 200, 0),
            one.presence.rooms(10),
            one.presence.versions([LOBBY]),
            one.presence.locate(ALICE),
            one.presence.emptied(),
            one.presence.note_empty(ATTIC, 1),
            one.presence.forget_empty(ATTIC, 1),
        )
        outcomes = await defer.gatherResults(
            [defer.Deferred.fromCoroutine(outcome(work)) for work in works]
        )
        assert outcomes == ["presence-unavailable"] * len(works)
        assert time.monotonic() - began < 1
    server.resume()
    await eventually(lambda: outcome_is(one.names(LOBBY), ""))
    assert await one.names(LOBBY) == ["alice"]
    found = await one.presence.locate(ALICE)
    assert found and found.away is None and set(found.rooms) == {LOBBY}
    await one.claimed(BOB)


async def outcome_is(work: object, code: str) -> bool:
    """Whether this is what goes wrong."""
    return await outcome(work) == code


@promise
async def test_a_redis_that_is_gone_is_known_to_be(chat: RedisChat, new_redis: NewRedis) -> None:
    """While there is no Redis nobody waits for it; when it is back nobody has to do anything."""
    server = new_redis(unix=True)
    one = await chat.start(server.url)
    alice = await one.claimed(ALICE, LOBBY)
    server.kill()
    await eventually(lambda: outcome_is(one.presence.users(LOBBY), "presence-unavailable"))
    began = time.monotonic()
    for _ in range(100):
        assert await outcome(one.presence.join(alice, ATTIC, 0)) == "presence-unavailable"
    assert time.monotonic() - began < 0.5
    server.start()
    await eventually(lambda: outcome_is(one.presence.join(alice, ATTIC, 0), ""))
    assert await one.names(LOBBY) == ["alice"]


@promise
async def test_the_address_may_change(chat: RedisChat, new_redis: NewRedis) -> None:
    """The embedded Redis may come back elsewhere; nobody loses their place."""
    servers = [new_redis(unix=True), new_redis()]
    urls = [server.url for server in servers]
    one = await chat.start(lambda: urls[0])
    await one.claimed(ALICE, LOBBY)
    servers[0].kill()
    urls.reverse()
    await eventually(lambda: outcome_is(one.presence.users(LOBBY), ""))
    await eventually(lambda: servers[1].command("HKEYS", f"{chat.prefix}:nicks") == [b"alice"])


@promise
async def test_a_lost_ear_is_noticed_and_mended(chat: RedisChat, new_redis: NewRedis) -> None:
    """Nobody's list stays old because announcements went unheard."""
    server = new_redis()
    with CountingProxy(server.address) as proxy:
        one = await chat.start(proxy.url)
        two = await chat.start(server.url, "two", lease=60)
        before = one.witness.uncertainties
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await one.witness.until(lambda witness: witness.uncertainties == before + 1)
        # Silent without being closed: it no longer answers.
        proxy.drop_if(lambda way, frame: way == "to_client" and isinstance(frame.value, list))
        await two.claimed(BOB, ATTIC)
        await eventually(lambda: proxy.accepted >= 4)
        proxy.drop_nothing()
        await one.witness.until(lambda witness: witness.uncertainties == before + 2)
        await two.claimed(ALICE, LOBBY)
        await one.witness.heard(LOBBY, "+alice")


@promise
async def test_an_ear_that_is_refused_signs_of_life_is_watched_on(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """A refusal is a sign of life as well; when it no longer comes that is noticed."""
    server = new_redis()
    server.command("ACL", "SETUSER", "chat", "on", ">pass", "~*", "&*", "+@all")
    with CountingProxy(server.address) as proxy:
        one = await chat.start(proxy.url, credentials={"username": "chat", "password": "pass"})
        before = one.witness.uncertainties
        server.command("ACL", "SETUSER", "chat", "-ping")
        await eventually(lambda: "ping" in str(server.command("ACL", "LOG")))
        server.command("ACL", "SETUSER", "chat", "+ping")
        accepted = proxy.accepted
        proxy.drop_if(lambda way, frame: way == "to_client" and isinstance(frame.value, list))
        await eventually(lambda: proxy.accepted > accepted)
        proxy.drop_nothing()
        await one.witness.until(lambda witness: witness.uncertainties > before)


@promise
async def test_lost_scripts_and_strange_announcements_do_no_harm(
    chat: RedisChat, new_redis: NewRedis
) -> None:
    """What an administrator does to Redis is not felt by the users."""
    server = new_redis()
    one = await chat.start(server.url)
    server.command("SCRIPT", "FLUSH")
    server.command("PUBLISH", f"{chat.prefix}:presence:0", "nonsense")
    await one.claimed(ALICE, LOBBY)
    await one.witness.heard(LOBBY, "+alice")


@promise
async def test_databases_of_one_redis_are_apart(chat: RedisChat, redis: RedisServer) -> None:
    """Two chats may share a Redis by its numbered databases; neither sees the other."""
    one = await chat.start(f"{redis.url}/1")
    two = await chat.start(f"{redis.url}?db=2", alone=True)
    await one.claimed(ALICE, LOBBY)
    await two.claimed(ALICE, LOBBY)
    await one.witness.heard(LOBBY, "+alice")
    await two.witness.heard(LOBBY, "+alice")


@promise
async def test_a_changed_password_is_waited_for(chat: RedisChat, new_redis: NewRedis) -> None:
    """While a password is being changed on both sides the server tries on; it need not restart."""
    server = new_redis()
    server.command("ACL", "SETUSER", "chat", "on", ">old", "~*", "&*", "+@all")
    with CountingProxy(server.address) as proxy:
        one = await chat.start(proxy.url, credentials={"username": "chat", "password": "old"})
        await one.claimed(ALICE, LOBBY)
        server.command("ACL", "SETUSER", "chat", "resetpass", ">new")
        proxy.cut()
        await eventually(lambda: proxy.accepted >= 8)  # refused three times each
        server.command("ACL", "SETUSER", "chat", ">old")
        await eventually(lambda: outcome_is(one.presence.users(LOBBY), ""))
        await eventually(lambda: outcome_is(one.claimed(BOB), ""))


@promise
@pytest.mark.needs("redis-server")
async def test_tls_is_spoken_to_a_server_that_proves_its_name(
    chat: RedisChat, new_redis: NewRedis, certificates: Certificates
) -> None:
    """Nobody between the server and Redis can read or change who is where."""
    server = new_redis(kind="redis", tls=certificates, password="secret")
    credentials = {"password": "secret", "ca_file": certificates.authority}
    one = await chat.start(server.url, credentials=credentials)
    await one.claimed(ALICE, LOBBY)
    await one.witness.heard(LOBBY, "+alice")
    distrustful = chat.make(server.url, "two", start_timeout=0.1)
    with pytest.raises(PresenceStartError, match="TLS failed: certificate verify failed"):
        await distrustful.presence.start()


@promise
@pytest.mark.needs("redis-server")
async def test_a_certificate_for_another_host_is_refused(
    chat: RedisChat, new_redis: NewRedis, tmp_path: Path
) -> None:
    """A server that has a certificate of the right authority must be the one that was asked for."""
    elsewhere = Certificates(tmp_path, hosts=("redis.example.org",))
    server = new_redis(kind="redis", tls=elsewhere)
    one = chat.make(server.url, credentials={"ca_file": elsewhere.authority}, start_timeout=0.1)
    with pytest.raises(PresenceStartError, match="TLS failed: its certificate is for another host"):
        await one.presence.start()


@promise
@pytest.mark.needs("redis-server")
async def test_a_server_that_wants_a_certificate_gets_one(
    chat: RedisChat, new_redis: NewRedis, certificates: Certificates, tmp_path: Path
) -> None:
    """Where both sides prove themselves, whoever starts this one reads whose is not taken."""
    server = new_redis(kind="redis", tls=certificates, mutual=True)
    own, key = certificates.client_certificate, certificates.client_key
    one_file = tmp_path / "both.pem"
    one_file.write_bytes(key.read_bytes() + own.read_bytes() + certificates.authority.read_bytes())
    for name, shown in (
        ("one", {"cert_file": own, "key_file": key}),
        ("two", {"cert_file": one_file}),
    ):
        credentials = {"ca_file": certificates.authority, **shown}
        made = await chat.start(server.url, name, credentials=credentials)
        await made.claimed(Nick.parse(name), LOBBY)
    other = Certificates(tmp_path / "other")
    for words, refused in {
        "TLS failed: it wants a certificate: give cert and key": {},
        f"TLS failed: it did not take {other.client_certificate}: ": {
            "cert_file": other.client_certificate,
            "key_file": other.client_key,
        },
        f"Redis: TLS: cannot use {own}: [X509: KEY_VALUES_MISMATCH]": {
            "cert_file": own,
            "key_file": other.client_key,
        },
        f"Redis: TLS: cannot use {key}: ": {"cert_file": key, "key_file": key},
        "Redis: TLS: cannot use /none: No such file or directory": {"cert_file": Path("/none")},
    }.items():
        credentials = {"ca_file": certificates.authority, **refused}
        with pytest.raises(PresenceStartError, match=re.escape(words)):
            await chat.make(server.url, credentials=credentials, start_timeout=0.1).presence.start()


@promise
@pytest.mark.needs("redis-server")
async def test_a_certificate_can_be_replaced(
    chat: RedisChat, new_redis: NewRedis, certificates: Certificates, tmp_path: Path
) -> None:
    """It is read again for each connection; one that is no use is in the log until it is."""
    server = new_redis(kind="redis", tls=certificates, mutual=True)
    own = tmp_path / "own.pem"
    content = certificates.client_certificate.read_bytes() + certificates.client_key.read_bytes()
    own.write_bytes(content)
    credentials = {"ca_file": certificates.authority, "cert_file": own}
    one = await chat.start(server.url, credentials=credentials)
    with capturedLogs() as events:
        own.write_bytes(b"")
        server.restart()
        await eventually(
            lambda: f"TLS: cannot use {own}" in " ".join(str(formatEvent(e)) for e in events)
        )
        own.write_bytes(content)
        await eventually(lambda: outcome_is(one.presence.users(LOBBY), ""))


@pytest.mark.parametrize(
    ("server_password", "url", "credentials", "message"),
    [
        ("secret", "{url}", {"password": "guess"}, "Redis at {url}: wrong user name or password"),
        ("secret", "{url}", {}, "Redis at {url}: it asks for a password"),
        (
            None,
            "{url}",
            {"password": "guess"},
            "Redis at {url}: it has no password; configure none",
        ),
        (None, "{url}/99", {}, "Redis at {url}/99: it has no database of that number"),
    ],
)
@promise
async def test_what_redis_refuses_is_said_in_one_line(
    chat: RedisChat,
    new_redis: NewRedis,
    redis_kind: RedisKind,
    server_password: str | None,
    url: str,
    credentials: dict[str, str],
    message: str,
) -> None:
    """Whoever starts the server with wrong settings reads which one, at once, and no password."""
    server = new_redis(kind=redis_kind, password=server_password)
    one = chat.make(url.format(url=server.url), credentials=credentials)
    began = time.monotonic()
    with pytest.raises(PresenceStartError) as refused:
        await one.presence.start()
    assert str(refused.value) == message.format(url=server.url)
    assert time.monotonic() - began < 2


@promise
async def test_what_is_no_redis_is_told_from_one(chat: RedisChat) -> None:
    """A wrong port is reported as what it is."""
    port = ReservedPort()
    url = f"redis://127.0.0.1:{port.number}"
    began = time.monotonic()
    with pytest.raises(PresenceStartError, match=f"^Redis at {url}: connection refused$"):
        await chat.make(url, start_timeout=0.3).presence.start()
    assert time.monotonic() - began < 2
    listener = port.listen()

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = threading.Thread(target=answer, daemon=True)
    server.start()
    try:
        with pytest.raises(PresenceStartError, match=f"^Redis at {url}: it does not speak"):
            await chat.make(url).presence.start()
    finally:
        listener.shutdown(2)
        listener.close()
        server.join()
        port.release()
    with pytest.raises(PresenceStartError, match=r"^Redis at unix:///nowhere: no such file"):
        await chat.make("unix:///nowhere", start_timeout=0.1).presence.start()


@promise
async def test_a_cluster_is_refused(chat: RedisChat, new_redis: NewRedis) -> None:
    """Whoever points the server at a Redis Cluster learns at once that this cannot work."""
    server = new_redis(options=["--cluster-enabled", "yes"])
    with pytest.raises(PresenceStartError, match="it is a Redis Cluster, which"):
        await chat.make(server.url).presence.start()


@promise
async def test_a_failed_start_can_be_tried_again(chat: RedisChat, new_redis: NewRedis) -> None:
    """A server that is told to start before its Redis need not be made anew."""
    server = new_redis()
    server.stop()
    one = chat.make(server.url, start_timeout=0.1)
    with pytest.raises(PresenceStartError):
        await one.presence.start()
    server.start()
    await chat.start(server.url, "two", alone=True)
    await one.presence.start()
    await one.claimed(Nick.parse("dave"), LOBBY)
    await one.presence.stop()
    assert await outcome(one.claimed(CAROL)) == "presence-unavailable"
