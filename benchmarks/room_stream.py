"""What the members of a room receive, and whether it is what they should.

Every member of a room receives the same bytes: the same messages in the same order. So whoever is
ahead is read message by message, and everybody else is compared with that, byte by byte, which is
one `memcmp` for whatever a socket gave. Nothing that is lost, doubled, changed or out of order can
pass, and a delivery costs the generator next to nothing.

Core NATS promises less: the order of each sender alone. See `LooseStream`.
"""

from __future__ import annotations

import re
from bisect import bisect_right

KEPT_BYTES = 1 << 20
MOST_APART_BYTES = 1 << 20
"""How far a member's order may be from another's."""

SHOWN_BYTES = 120


class WrongDelivery(AssertionError):
    """A member did not receive what it should: no figure of the run counts."""


class RoomStream:
    """One room's messages since the measurement's begin.

    Args:
        name: In errors.
        members: How many there are.
        senders: How many of them send; each counts its messages from 0.
        message: Matches one message; its groups are the sender and the number.

    Attributes:
        positions: How many bytes each member has received.
    """

    def __init__(self, name: str, members: int, senders: int, message: re.Pattern[bytes]) -> None:
        self.name = name
        self.positions = [0] * members
        self._match = message.match
        self._known = bytearray()
        self._base = 0  # the position of the first byte still known
        self._read = 0  # the position up to which messages are read
        self._due = [0] * senders
        self._ends: list[int] = []  # the position after each message
        self._messages: list[tuple[int, int]] = []
        self._forgotten = 0  # messages that are no longer in the lists
        self._complete = 0  # messages that everybody has

    def take(self, member: int, data: bytes) -> None:
        """Take what a member has received.

        Raises:
            WrongDelivery: It is not what the others have received, or should.
        """
        at = self.positions[member]
        if not self._known.startswith(data, at - self._base):
            self._go_ahead(member, data, at - self._base)
        self.positions[member] = at + len(data)

    def _go_ahead(self, member: int, data: bytes, at: int) -> None:
        rest = bytes(self._known[at:])
        if not data.startswith(rest):
            raise WrongDelivery(
                f"{self.name}, member {member}: {data[:SHOWN_BYTES]!r} where the others received "
                f"{rest[:SHOWN_BYTES]!r}"
            )
        self._known += data[len(rest) :]
        self._read_on()

    def _read_on(self) -> None:
        start = self._read - self._base
        chunk = bytes(self._known[start : self._known.rfind(b"\n") + 1])
        match, due, at = self._match, self._due, 0
        while found := match(chunk, at):
            sender, seq = int(found[1]), int(found[2])
            if seq != due[sender]:
                raise WrongDelivery(
                    f"{self.name}: message {seq} of sender {sender} where {due[sender]} was due"
                )
            due[sender] = seq + 1
            at = found.end()
            self._ends.append(self._read + at)
            self._messages.append((sender, seq))
        self._read += at
        # A message may span lines, so what is left may be the begin of one.
        if len(chunk) - at > SHOWN_BYTES:
            raise WrongDelivery(f"{self.name}: not a message: {chunk[at:][:SHOWN_BYTES]!r}")

    def completed(self) -> list[tuple[int, int]]:
        """The messages that by now everybody has, and of which this was not told before."""
        everybody = min(self.positions)
        start = self._complete - self._forgotten
        end = bisect_right(self._ends, everybody, start)
        self._complete += end - start
        done = self._messages[start:end]
        if everybody - self._base > KEPT_BYTES:
            self._forget(everybody, end)
        return done

    def _forget(self, position: int, count: int) -> None:
        position = min(position, self._read)
        del self._known[: position - self._base]
        self._base = position
        del self._ends[:count]
        del self._messages[:count]
        self._forgotten += count

    def between(self, start: int, end: int) -> list[tuple[int, int]]:
        """The messages that end after one position and not after the other."""
        ends = self._ends
        return self._messages[bisect_right(ends, start) : bisect_right(ends, end)]

    @property
    def deliveries(self) -> int:
        """Messages received so far, counted for each member."""
        ends, forgotten = self._ends, self._forgotten
        return sum(forgotten + bisect_right(ends, position) for position in self.positions)

    def check_end(self, sent: list[int]) -> bool:
        """Whether every member has every message sent, and nothing besides.

        Args:
            sent: How many messages each sender has sent.
        """
        return self._due == sent and all(
            position == self._read and position == self._base + len(self._known)
            for position in self.positions
        )


class LooseStream(RoomStream):
    """The same, where only the messages of each sender must come in their order.

    Members mostly agree; where one does not, its messages are held until they are the same as the
    others' up to some place, whatever the order in between.
    """

    def __init__(self, name: str, members: int, senders: int, message: re.Pattern[bytes]) -> None:
        super().__init__(name, members, senders, message)
        self._held: dict[int, bytes] = {}

    def take(self, member: int, data: bytes) -> None:
        """Take what a member has received; see `RoomStream.take`."""
        if member in self._held:
            self._compare(member, self._held.pop(member) + data)
        elif self._agrees(member, data):
            super().take(member, data)
        else:
            at = self.positions[member]
            ends_before = bisect_right(self._ends, at)
            start = self._ends[ends_before - 1] if ends_before else self._base
            self.positions[member] = start
            begun = bytes(self._known[start - self._base : at - self._base])
            self._compare(member, begun + data)

    def _agrees(self, member: int, data: bytes) -> bool:
        at = self.positions[member] - self._base
        return self._known.startswith(data, at) or data.startswith(self._known[at:])

    def _compare(self, member: int, data: bytes) -> None:
        while data and not self._agrees(member, data):
            size = self._same(data, self.positions[member] - self._base)
            if not size:
                if len(data) > MOST_APART_BYTES:
                    raise WrongDelivery(f"{self.name}, member {member}: not what others received")
                self._held[member] = data
                return
            self.positions[member] += size
            data = data[size:]
        super().take(member, data)

    def _same(self, data: bytes, at: int) -> int:
        """The shortest size, in whole messages, at which both have had the same ones; 0 if none."""
        mine, start = 0, at
        unmatched: set[tuple[bytes, ...]] = set()
        newest: dict[bytes, int] = {}
        while (one := self._match(data, mine)) and (other := self._match(self._known, at)):
            sender, seq = one.groups()
            if int(seq) <= newest.get(sender, -1):
                raise WrongDelivery(f"{self.name}: message {seq!r} of {sender!r} came out of order")
            newest[sender] = int(seq)
            unmatched ^= {one.groups()}
            unmatched ^= {other.groups()}
            mine, at = one.end(), other.end()
            if not unmatched:
                if mine != at - start:
                    raise WrongDelivery(f"{self.name}: the same messages in another size")
                return mine
        return 0
