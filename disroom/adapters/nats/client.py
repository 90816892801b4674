"""nats-py's client, with a shorter way for the messages that matter here, and a sure end.

By its own way each message is cut out of the buffer in several steps, its headers go through a
parser that looks at every character, and it goes through a queue to a task of its subscription: 20
of the 75 us that a stored message once cost. A publish goes through five coroutines to a queue and
a task that writes: 10 more. The shorter way cuts whole messages out of what was read and calls the
subscriber from the read loop; it puts what is published where that task would find it, and writes
it when a turn of the loop has brought nothing more. For this it stands before one private method,
overrides two and knows six attributes, so it is taken only where they are those it was written for;
elsewhere nats-py's own way serves as well. Whatever else of nats-py is private and used is here,
too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from time import monotonic

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from disroom.adapters.aio import soon
from disroom.adapters.nats.message import Incoming

Receive = Callable[[Incoming], None]

GATHER_SECONDS = 0.001
"""How long a message may wait to leave together with others."""

_LINE = b"\r\n"


@cache
def supported() -> bool:
    """Whether nats-py is as this module knows it."""
    try:
        client = Client()
        parser = client._ps
        return (
            _parameters(Client._process_msg) == "self sid subject reply data headers"
            and _parameters(Parser.parse) == "self data"
            and type(parser) is Parser
            and isinstance(client._subs, dict)
            and (client._pending, client._pending_data_size, client._transport) == ([], 0, None)
            and _parameters(Client._process_pong) == "self"
            and (client._pongs, client._pings_outstanding) == ([], 0)
            and _keeps_what_is_incomplete(parser)
        )
    except AttributeError:
        return False


def _parameters(method: Callable[..., object]) -> str:
    """The names of a coroutine's parameters."""
    return " ".join(inspect.signature(method).parameters) * inspect.iscoroutinefunction(method)


def _keeps_what_is_incomplete(parser: Parser) -> bool:
    try:
        parser.parse(b"MSG a 1").send(None)
    except StopIteration:
        return parser.state == AWAITING_CONTROL_LINE and parser.buf == b"MSG a 1"
    return False


class DirectClient(Client):
    """A client whose subscribers may be called from its read loop, and that writes many at once.

    Such a subscriber must not raise: the read loop would end without a reconnection.

    Args:
        seconds: The time, of a clock that is never set.

    Attributes:
        direct: Whether the shorter way is taken.
    """

    def __init__(self, seconds: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self.direct = supported()
        self._direct: dict[bytes, Receive] = {}
        self._seconds = seconds
        self._gathering = False
        self._gathered = 0
        self._latest = 0.0
        if self.direct:
            self._ps = DirectParser(self, self._direct)

    def call_directly(self, subscription: Subscription, receive: Receive) -> None:
        """Give a subscription's messages to ``receive``, from the next one on."""
        if self.direct:
            self._direct[b"%d" % subscription._id] = receive

    def call_no_more(self, subscription: Subscription) -> None:
        """Forget a subscription, and have nothing of it run on. Idempotent.

        nats-py stops what it runs for one only while there is a connection.
        """
        self._direct.pop(b"%d" % subscription._id, None)
        subscription._stop_processing()

    def send(self, subject: str, payload: bytes, reply: str, head: bytes) -> None:
        """Publish, in one write with all that is published while each turn of the loop brings more.

        So those who talk at the same moment share a write, and the server's answer to them a read:
        with 50 who do, 30 messages instead of 12. None waits longer than 1 ms and a turn, and one
        that is alone waits for one turn. ``reply`` may be empty.

        For a client that is connected and takes the shorter way. What is not written when the
        connection ends is lost; nothing here bounds how much there is.
        """
        to = f"{subject} {reply}" if reply else subject
        sizes = f"{len(head)} {len(head) + len(payload)}"
        frame = f"HPUB {to} {sizes}\r\n".encode() + head + payload + _LINE
        self._pending.append(frame)
        self._pending_data_size += len(frame)
        if not self._gathering:
            self._gathering = True
            self._gathered = 0
            self._latest = self._seconds() + GATHER_SECONDS
            soon(self._write_if_all)

    def _write_if_all(self) -> None:
        published = len(self._pending)
        if published > self._gathered and self._seconds() < self._latest:
            self._gathered = published
            soon(self._write_if_all)
        else:
            self.write_now()

    def write_now(self) -> None:
        """Write what has been published, before anything that may be written now."""
        self._gathering = False
        if self.direct and self._pending and self.is_connected and self._transport:
            frames, self._pending, self._pending_data_size = self._pending, [], 0
            self._transport.writelines(frames)

    def server_says(self, field: str) -> bool:
        """Whether the server's INFO has a flag; before the first INFO it has none."""
        return bool(self._server_info.get(field))

    def abort(self, subscriptions: Iterable[Subscription]) -> None:
        """Leave nothing running of a client that was closed, and of its subscriptions.

        Where its socket fails meanwhile, nats-py's close ends half-way: its tasks are left. Where
        the peer takes nothing it does not end at all, nor does the socket's own close.
        """
        for subscription in subscriptions:
            subscription._stop_processing()
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_pong(self) -> None:
        if self.direct and self._pongs and self._pongs[0].done():
            # Of a flush that has given up. nats-py would fail to tell it, and read nothing more.
            self._pongs.pop(0)
            self._pings_outstanding = 0
        else:
            await super()._process_pong()

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        receive = self._direct.get(b"%d" % sid) if self._direct else None
        if receive is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            receive(Incoming(bytes(subject), bytes(reply), data, headers or b""))  # None for none


class DirectParser(Parser):
    """nats-py's parser for all but the messages of subscribers that are called directly.

    Those are taken off the front of what was read, as far as they are whole. What follows them is
    either the beginning of one more, which waits for its rest where nats-py keeps an incomplete
    line, or something else, which is nats-py's with all that comes after it in this reading.
    """

    def __init__(self, client: Client, direct: Mapping[bytes, Receive]) -> None:
        super().__init__(client)
        self._direct = direct

    async def parse(self, data: bytes = b"") -> None:
        """Take in what was read."""
        if self.state != AWAITING_CONTROL_LINE:
            await super().parse(data)
            return
        if self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        taken, whole = take_messages(data, self._direct)
        if not whole:
            self.buf.extend(memoryview(data)[taken:])
        elif taken < len(data):
            await super().parse(data[taken:])


def take_messages(data: bytes, receivers: Mapping[bytes, Receive]) -> tuple[int, bool]:
    """Give whole messages to their receivers, by subscription id, from the front on.

    Returns:
        How many bytes they were, and False where what follows is the beginning of one more.
    """
    at, size = 0, len(data)
    while at < size:
        end = data.find(_LINE, at)
        if end < 0:
            break
        # Single blanks, as nats-server writes; anything else is nats-py's to understand.
        words = data[at:end].split(b" ")
        receive = receivers.get(words[2]) if len(words) > 3 else None
        if receive is None:
            break
        start = body = end + 2
        try:
            stop = start + int(words[-1])
            if words[0] == b"HMSG":
                body += int(words[-2])
                reply = words[3] if len(words) == 6 else b""
            elif words[0] == b"MSG":
                reply = words[3] if len(words) == 5 else b""
            else:
                break
        except ValueError:
            break
        if not start <= body <= stop:
            break
        if stop + 2 > size:
            return at, False
        at = stop + 2
        receive(Incoming(words[1], reply, data[body:stop], data[start:body]))
    return at, True
