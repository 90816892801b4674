"""One connection to Redis: txredisapi's protocol, watched for silence.

txredisapi encodes commands and matches replies to them. What is added or replaced, and why:

* Its parser takes a turn of the reactor for each bulk string that arrives together with others
  (three for a published change), so it is replaced by one that takes what is there.
* Once it can subscribe, it leaves of every list that comes the last three items; here all of them.
* Its ``replyTimeout`` breaks a connection off on which many replies are on their way, and costs a
  timer for each; here a connection is aborted when replies are due and nothing at all comes.
* It authenticates in ``connectionMade`` and gives up for good when that fails; here `RedisLink`
  does it, and tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txredisapi
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.adapters.redis.address import RedisAddress
from disroom.countdown import STEPS

NOT_REDIS = "it does not speak the Redis protocol"
CLUSTER = "it is a Redis Cluster, which is not supported"
"""What is wrong with a server that no second attempt makes usable."""

_log = Logger()


class RedisUnavailable(Exception):
    """The connection is away, or broke before the reply came; a command may have been done."""


class RedisRefused(Exception):
    """Redis answered with this error."""


class RedisConnection(txredisapi.SubscriberProtocol):  # type: ignore[misc]  # it has no types
    """A connection for commands, for published messages, or both.

    Replies are bytes, for statuses str, or lists of these; nothing is taken for a number that was
    not sent as one (the nick ``007`` is a string).

    Args:
        reactor: For the time.
        timeout: Seconds of silence, while a reply is due, after which the connection is aborted;
            counted as `Countdown` does, and up to a step more.
        address: Where it goes, for who wants to know.
        published: Called with each message published on a channel subscribed to.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        timeout: float,
        address: RedisAddress,
        published: Callable[[bytes], None] | None = None,
    ) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.address = address
        self.why = "the connection was closed"
        self._over = False
        self._outstanding = 0
        self._silent = 0  # for so many steps
        self._watch: IDelayedCall | None = None
        self._reactor = reactor
        self._timeout = timeout
        self._published = published
        self._unparsed = b""

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send a command and return the reply; those sent before have been answered then.

        Raises:
            RedisUnavailable: The connection ended, or was aborted because it fell silent.
            RedisRefused: The reply is an error.
        """
        if self._over:
            raise RedisUnavailable(self.why)
        if not self._outstanding:
            self._silent = 0
        if self._watch is None:
            self._look_later()
        self._outstanding += 1
        try:
            return await self.execute_command(*command)
        except txredisapi.ResponseError as error:
            raise RedisRefused(str(error)) from None
        except txredisapi.ConnectionError:
            raise RedisUnavailable(self.why) from None
        finally:
            self._outstanding -= 1

    def _look_later(self) -> None:
        self._watch = self._reactor.callLater(self._timeout / STEPS, self._look)

    def _look(self) -> None:
        """Abort if replies are due and nothing has come for too long; look again otherwise."""
        self._watch = None
        if not self._outstanding or self._over:
            return
        self._silent += 1
        if self._silent <= STEPS:
            self._look_later()
        else:
            self.abort(f"no answer within {self._timeout:g} s")

    def abort(self, why: str) -> None:
        """Break the connection off."""
        self.why = why
        self.transport.abortConnection()

    def when_ended(self) -> Deferred[Any]:
        """A Deferred of the caller's own that fires once the connection is gone."""
        return succeed(None) if self._over else self.whenDisconnected()

    def connectionMade(self) -> None:
        """Have small packets sent at once: a command waits 40 ms for the next otherwise."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        super().connectionMade()

    def connectionLost(self, why: Failure) -> None:
        """Fail what is outstanding."""
        if isinstance(why.value, SSL.Error):
            details = ", ".join(str(part[-1]) for part in why.value.args[0])
            self.why = f"TLS failed: {details or 'the connection was cut'}"
        elif isinstance(why.value, VerificationError):
            self.why = "TLS failed: its certificate is for another host"
        self._over = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connectionLost(why)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Take all complete replies out of what has arrived."""
        self._silent = 0
        buffer, position = self._unparsed + data, 0
        try:
            while (parsed := _parse(buffer, position)) is not None:
                reply, position = parsed
                self.replyReceived(reply)
        except ValueError:
            self.abort(NOT_REDIS)
        self._unparsed = buffer[position:]

    def replyReceived(self, reply: Any) -> None:
        """Tell what was published from the reply to a command."""
        if self._published is not None and isinstance(reply, list) and reply[:1] == [b"message"]:
            self.messageReceived(None, *reply[1:])
        else:
            self.replyQueue.put(reply)

    def messageReceived(self, pattern: bytes | None, channel: bytes, message: bytes) -> None:
        """Pass a published message on; one that cannot be taken must not end the connection."""
        try:
            if self._published is not None:
                self._published(message)
        except Exception:
            _log.failure("A message published on {channel} was not taken", channel=channel)


def _parse(buffer: bytes, start: int) -> tuple[Any, int] | None:
    """Return the RESP2 reply at ``start`` and where it ends; None while it is incomplete.

    Raises:
        ValueError: This is not RESP2.
    """
    kind = buffer[start : start + 1]
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        if kind and kind not in b"+-:$*":
            raise ValueError
        return None
    line, end = buffer[start + 1 : line_end], line_end + 2
    if kind == b"$":
        length = int(line)
        if length < 0:
            return None, end
        stop = end + length
        return (buffer[end:stop], stop + 2) if len(buffer) >= stop + 2 else None
    if kind == b"+":
        return line.decode(), end
    if kind == b"-":
        return txredisapi.ResponseError(line.decode().removeprefix("ERR ")), end
    if kind == b":":
        return int(line), end
    if kind != b"*":
        raise ValueError
    items = []
    for _ in range(int(line)):
        parsed = _parse(buffer, end)
        if parsed is None:
            return None
        item, end = parsed
        items.append(item)
    return items, end
