"""This instance in the presence store: two connections, clockwork, a beginning and an end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.boottime import boot_time
from disroom.adapters.redis.address import RedisPlace
from disroom.adapters.redis.connection import RedisConnection, RedisRefused, RedisUnavailable
from disroom.adapters.redis.dialer import LinkFailure
from disroom.adapters.redis.holdings import Holdings
from disroom.adapters.redis.lease import RedisLease
from disroom.adapters.redis.link import RedisLink
from disroom.adapters.redis.reaping import Reaping
from disroom.adapters.redis.reconciliation import Reconciliation
from disroom.adapters.redis.scripts import Moved, PresenceScripts, Reply, news_of
from disroom.adapters.redis.settings import RedisSettings
from disroom.adapters.redis.settling import SETTLE_MARGIN
from disroom.chat.interfaces import IPresenceWatcher
from disroom.rounds import Rounds

_log = Logger()


class PresenceStartError(Exception):
    """Presence cannot be started; the message is one line that says why."""


class RedisInstance:
    """Connects an instance and keeps it connected, registered and informed.

    Two connections: one for commands, one that hears the changes of all rooms on one channel. (A
    channel for each room would cost every join and leave a second command, and leave a moment
    between subscribing and reading the roster.)

    Args:
        reactor: To connect with and to wait by.
        settings: Times and the prefix.
        address: Where Redis is, or who knows; asked at each attempt to connect, so it may change.
        instance_name: Of this instance; an earlier incarnation of that name is superseded.
        fresh_id: Makes incarnations: ids that occur once.
        alone: Whether no other instance can have sessions, so that an empty store need not settle
            at the start; asked then.
        reincarnated: Called when the lease was lost and the instance has a new incarnation.
        clock: Seconds that also pass while the machine sleeps.

    Attributes:
        reactor: As given.
        clock: As given.
        holdings: What is to be found in the store, and what is owed to it.
        lease: The standing with the store.
        watcher: Who hears of changes.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        settings: RedisSettings,
        address: Callable[[], RedisPlace],
        instance_name: str,
        fresh_id: Callable[[], str],
        alone: Callable[[], bool] = lambda: False,
        reincarnated: Callable[[str], None] = lambda incarnation: None,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self.holdings = Holdings()
        self.watcher: IPresenceWatcher | None = None
        self.reactor = reactor
        self.clock = clock
        self._settings = settings
        self._subscribed = False
        self._scripts = PresenceScripts(prefix=settings.prefix, keeps_empty=settings.keeps_empty)
        self.lease = RedisLease(
            reactor=reactor,
            settings=settings,
            scripts=self._scripts,
            reconciliation=Reconciliation(
                self.holdings,
                grace=settings.grace,
                clock=clock,
                lost=self._lost,
                moved=self._moved,
            ),
            reaping=Reaping(reactor=reactor, grace=settings.grace, seconds=settings.tick),
            instance_name=instance_name,
            fresh_id=fresh_id,
            alone=alone,
            uncertain=self._uncertain,
            reincarnated=reincarnated,
            clock=clock,
        )
        self._commands = RedisLink(
            "presence",
            reactor=reactor,
            address=address,
            timeout=settings.timeout,
            longest_pause=settings.longest_pause,
            prepare=self._enter,
            ended=self.lease.left,
        )
        self._changes = RedisLink(
            "changes of presence",
            reactor=reactor,
            address=address,
            timeout=settings.timeout,
            longest_pause=settings.longest_pause,
            prepare=self._subscribe,
            published=self._published,
        )
        self._renewing = Rounds(reactor, "Renewing the lease in Redis", self.lease.tick)
        self._loops = {
            self._renewing: settings.tick,
            Rounds(reactor, "Looking after the connections to Redis", self._ping): settings.tick,
            Rounds(reactor, "Looking for a new master", self._commands.follow): settings.lease / 3,
        }

    async def start(self) -> None:
        """Connect, register, and wait until the store has settled.

        Raises:
            PresenceStartError: Redis cannot be reached or used; nothing is left running.
        """
        settings = self._settings
        try:
            await self._changes.start(settings.start_timeout)
            await self._commands.start(settings.start_timeout)
            for loop, seconds in self._loops.items():
                loop.start(seconds, now=True)
            settled = Deferred.fromCoroutine(self.lease.settling.over())
            await within(settings.settle + settings.start_timeout, self.reactor, settled)
            await self._renewing.round()  # a predecessor's users are gone when this returns
        except LinkFailure as failure:
            await self._close()
            raise PresenceStartError(str(failure)) from None
        except TimedOut:
            await self._close()
            raise PresenceStartError("Redis: the presence store does not settle") from None

    async def stop(self) -> None:
        """Release every session at once, if Redis answers, and disconnect. Idempotent."""
        self._stop_loops()
        try:
            retired = Deferred.fromCoroutine(self.lease.retire("going down"))
            await within(self._settings.stop_timeout, self.reactor, retired)
            self.holdings.sessions.clear()
        except (RedisUnavailable, TimedOut):
            if self.holdings.sessions:
                _log.warn("Redis was not told that this server stops; its users linger a while")
        await self._close()

    def _stop_loops(self) -> None:
        for loop in self._loops:
            loop.stop()

    async def _close(self) -> None:
        self._stop_loops()
        self.lease.close()
        await self._commands.stop()
        await self._changes.stop()

    async def _ping(self) -> None:
        """Find out whether the connection for changes still is one; it would only be silent."""
        if self._changes.connection is not None:
            with suppress(RedisUnavailable, RedisRefused):  # a refusal is an answer as well
                await self._changes.connection.ask("PING")

    async def ask(self, script: str, *arguments: str | bytes | int) -> Reply:
        """Run a script; a store that settles is waited for.

        Returns:
            The reply: ``ok``, ``taken`` or ``gone``.

        Raises:
            RedisUnavailable: At once while the connection is away; or the script may have been run;
                or nothing came of waiting.
        """
        seconds, settings = self.reactor.seconds, self._settings
        deadline, settling, mended = seconds() + settings.timeout, False, False
        while True:
            connection = await self.lease.standing(deadline)
            reply = await self.lease.run(connection, script, *arguments)
            if reply.status in ("ok", "taken", "gone"):
                return reply
            if reply.status == "settling":
                if not settling:
                    deadline, settling = seconds() + settings.settle + 1, True
                left = msgspec.msgpack.decode(reply.body, type=float) / 1000
                patience = max(0.0, deadline - seconds())
                await deferLater(self.reactor, min(left, patience) + SETTLE_MARGIN)
            elif reply.status == "session" and mended:
                raise RedisUnavailable("the session is not in the store")
            else:
                if not mended:  # it may have stood still for longer than its lease
                    deadline, mended = max(deadline, seconds() + settings.timeout), True
                self.lease.enter_again(connection)
            if seconds() > deadline:
                raise RedisUnavailable("the store does not settle")

    @property
    def hears(self) -> bool:
        """Whether changes are heard of just now."""
        return self._changes.connection is not None

    def lose(self, session: str) -> None:
        """Vouch no longer for a session whose nick another holds, and tell of it."""
        if self.holdings.forget(session):
            self._lost(session)

    def part(self, session: str) -> None:
        """Vouch no longer for a session that another instance has resumed, and tell of it."""
        if self.holdings.forget(session):
            self._moved(session)

    async def _enter(self, connection: RedisConnection) -> None:
        """Register; and hear of changes where they are made, after a failover at another place."""
        changes = self._changes.connection
        if changes is not None and str(changes.address) != str(connection.address):
            changes.abort(f"the master is {connection.address} now")
        await self.lease.enter(connection)

    # What the watcher hears.

    async def _subscribe(self, connection: RedisConnection) -> None:
        await connection.ask("SUBSCRIBE", self._scripts.channel(connection))
        if self._subscribed:
            self._uncertain()
        self._subscribed = True

    def _published(self, message: bytes) -> None:
        news = news_of(message)
        if isinstance(news, Moved):
            held = self.holdings.sessions.get(news.session)
            if news.holder != self.lease.incarnation:
                self.holdings.went(news.session, news.tenure)
                if held is not None and held.tenure < news.tenure:
                    self.part(news.session)
            return
        self.lease.saw(news.version)
        if self.watcher is not None:
            self.watcher.changed(news)

    def _uncertain(self) -> None:
        if self.watcher is not None:
            self.watcher.uncertain()

    def _lost(self, session: str) -> None:
        if self.watcher is not None:
            self.watcher.lost(session)

    def _moved(self, session: str) -> None:
        if self.watcher is not None:
            self.watcher.moved(session)
