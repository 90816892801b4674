"""This instance's standing with the presence store: its lease, and the incarnation that has it.

An instance is known to the store by an *incarnation*, an id that it has for as long as its lease
lasts. The lease is renewed at every tick. If it is lost all the same (this process was frozen, or
cut off, or the store lost its data), the others have taken or may take the sessions out, so the
instance comes back as a new incarnation and asserts its sessions again: see `Reconciliation`.

While the store settles, that is, while others may not have asserted theirs yet, nobody is reaped
and nothing is given away.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.boottime import boot_time
from disroom.adapters.redis.connection import (
    CLUSTER,
    RedisConnection,
    RedisRefused,
    RedisUnavailable,
)
from disroom.adapters.redis.leaseclock import LeaseClock
from disroom.adapters.redis.reaping import Reaping
from disroom.adapters.redis.reconciliation import Reconciliation
from disroom.adapters.redis.scripts import (
    EnterReply,
    PresenceScripts,
    Reply,
    TickReply,
    milliseconds,
)
from disroom.adapters.redis.settings import RedisSettings
from disroom.adapters.redis.settling import SettleWindow
from disroom.adapters.runtime import Signal
from disroom.countdown import Countdown

_log = Logger()
_decode_enter = msgspec.msgpack.Decoder(EnterReply).decode
_decode_tick = msgspec.msgpack.Decoder(TickReply).decode


class _State(Enum):
    AWAY = "not connected"
    ENTERING = "connected, the sessions are being asserted"
    STANDING = "everything is in the store"


class RedisLease:
    """Keeps this instance registered.

    Args:
        reconciliation: Makes the store agree with what the instance holds, at each entering.
        reaping: Takes out, at each tick, who is left of others.
        uncertain: Called when presence may have changed without an announcement.
        reincarnated: Called with the new incarnation when the former was lost.

    Attributes:
        incarnation: The present one.
        settling: The window that the store has told of.
        clock: What the time says of it.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        settings: RedisSettings,
        scripts: PresenceScripts,
        reconciliation: Reconciliation,
        reaping: Reaping,
        instance_name: str,
        fresh_id: Callable[[], str],
        alone: Callable[[], bool],
        uncertain: Callable[[], None],
        reincarnated: Callable[[str], None],
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self.incarnation = fresh_id()
        self._reactor = reactor
        self._settings = settings
        self._scripts = scripts
        self._reconciliation = reconciliation
        self._reaping = reaping
        self._instance_name = instance_name
        self._fresh_id = fresh_id
        self._alone = alone
        self._uncertain = uncertain
        self._reincarnated = reincarnated
        self.clock = LeaseClock(settings.lease, clock)
        self._state = _State.AWAY
        self._connection: RedisConnection | None = None
        self._changed = Signal()
        self._registered = False  # the incarnation has held a lease
        self._first = True
        self._highest_version = 0
        self._confirming: Signal | None = None
        self.settling = SettleWindow(reactor, uncertain)

    @property
    def cut_off(self) -> bool:
        """Whether the store has not answered for a lease, so that others may have acted."""
        away = self._state is not _State.STANDING
        return away and self.clock.unanswered

    @property
    def is_standing(self) -> bool:
        """Whether all that this instance holds is in the store, and the store answers."""
        return self._state is _State.STANDING

    def saw(self, version: int) -> None:
        """Remember a room's version: what a store that lost everything gives must be greater."""
        self._highest_version = max(self._highest_version, version)

    # Entering.

    async def enter(self, connection: RedisConnection) -> None:
        """Register over a new connection and make the store agree with what is held here.

        Raises:
            RedisUnavailable: The connection broke.
            RedisRefused: Presence cannot be kept in this Redis.
        """
        asked = self.clock.now()
        self._to(_State.ENTERING, connection)
        await self._scripts.load(connection)
        await self._register(connection)
        await self._reconciliation.everything(partial(self.run, connection))
        self.clock.sure(asked)
        self._to(_State.STANDING, connection)

    def left(self) -> None:
        """Take note that the connection is gone."""
        self._to(_State.AWAY, None)

    def _to(self, state: _State, connection: RedisConnection | None) -> None:
        self._state, self._connection = state, connection
        changed, self._changed = self._changed, Signal()
        changed.fire()

    async def _register(self, connection: RedisConnection) -> None:
        while True:
            reply = await self.run(
                connection,
                "enter",
                self._instance_name,
                milliseconds(self._settings.lease),
                milliseconds(self._settings.settle),
                milliseconds(self._settings.jump),
                int(not self._registered),
                int(self._first),
                int(self._first and self._alone()),
                self._highest_version,
            )
            if reply.status == "ok":
                break
            if reply.status == "cluster":
                raise RedisRefused(CLUSTER)
            self.incarnation = self._fresh_id()
            self._registered = False
            _log.warn("The lease in Redis was lost; asserting all sessions anew")
            self._reincarnated(self.incarnation)
        entered = _decode_enter(reply.body)
        self._registered, self._first = True, False
        self.settling.told(entered.settling / 1000)
        if not entered.named:
            _log.error(
                "Another server runs as {name}; give each a name of its own",
                name=self._instance_name,
            )

    def enter_again(self, connection: RedisConnection) -> None:
        """Begin to register anew over a connection that works, unless that is under way."""
        if self._state is _State.STANDING and connection is self._connection:
            entering = Deferred.fromCoroutine(self.enter(connection))
            entering.addCallback(lambda _: self._uncertain())
            # It is tried again over a new connection, and logged by the link.
            entering.addErrback(lambda failure: connection.abort(failure.getErrorMessage()))

    # Asking.

    async def standing(self, deadline: float) -> RedisConnection:
        """Wait until everything is in the store, and give the connection to it.

        Raises:
            RedisUnavailable: The connection is away, or the reactor's deadline has passed.
        """
        while self._state is not _State.STANDING or self._connection is None:
            left = deadline - self._reactor.seconds()
            if self._state is _State.AWAY or left <= 0:
                raise RedisUnavailable("the connection is away")
            try:
                await within(left, self._reactor, self._changed.wait())
            except TimedOut:
                raise RedisUnavailable("the sessions are still being asserted") from None
        return self._connection

    async def run(
        self, connection: RedisConnection, script: str, *arguments: str | bytes | int
    ) -> Reply:
        """Run a script as the present incarnation; see `PresenceScripts.run`."""
        return await self._scripts.run(connection, script, self.incarnation, *arguments)

    # Time.

    async def tick(self) -> None:
        """Renew the lease and reap those that have lapsed; to be called once a second."""
        asked = self.clock.look()
        if self._state is not _State.STANDING or self._connection is None:
            return
        connection = self._connection
        run = partial(self.run, connection)
        try:
            reply = await run(
                "tick",
                milliseconds(self._settings.lease),
                milliseconds(self._settings.settle),
                milliseconds(self._settings.jump),
                milliseconds(self._settings.grace),
            )
            if reply.status != "ok":
                self.enter_again(connection)
                return
            self.clock.sure(asked)
            ticked = _decode_tick(reply.body)
            self.settling.told(ticked.settling / 1000)
            differs = self._reconciliation.differs(ticked.held)
            await self._reconciliation.pay(run)
            if differs:
                await self._reconciliation.compare(run)
            await self._reaping.round(run, ticked)
        except RedisUnavailable:
            pass  # the link has logged it and connects again

    async def confirm(self) -> None:
        """Find out what others did while this process stood still; at once where it did not.

        When this returns, who lost a nick has been told. Where the store does not answer for a few
        seconds nothing can be known; the chat goes on then, as without a store at any time.
        """
        if self._confirming is not None:
            await self._confirming.wait()
        elif self.clock.lapsed:
            self._confirming = Signal()
            try:
                await self._until_sure()
            finally:
                confirming, self._confirming = self._confirming, None
                confirming.fire()

    async def _until_sure(self) -> None:
        seconds = 2 * self._settings.timeout + self._settings.settle
        countdown = Countdown(seconds, self._reactor, self._go_on_unsure)
        try:
            await self.tick()
            while self.clock.unsure:
                await self._changed.wait()
        finally:
            countdown.cancel()

    def _go_on_unsure(self) -> None:
        self.clock.go_on()
        self._to(self._state, self._connection)

    async def retire(self, reason: str) -> None:
        """Give the lease up and take all sessions out at once; nothing is asked after this.

        Raises:
            RedisUnavailable: The connection is away or broke; the lease will run out.
        """
        connection = await self.standing(self._reactor.seconds() + self._settings.timeout)
        self._to(_State.AWAY, None)  # else a request on its way would bring the lease back
        run = partial(self.run, connection)
        await run("retire", reason)
        await self._reaping.all_of(run, self.incarnation)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._to(_State.AWAY, None)
        self.settling.close()
