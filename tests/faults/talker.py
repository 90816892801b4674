"""One user who says numbered things in a room and keeps what it saw there."""

import re
import sys
import time

from tests.processes.client import LineClient
from tests.processes.text_client import Received

MESSAGE = re.compile(r"^\[[\d: -]+\] #\S+ (\S+): (<\w+\.\w+\.\d+>)")
MENTION = re.compile(r"<\w+\.\w+\.\d+>")
DELAYED = "-- your message is delayed"
AFTER_ALL = "-- what was reported as not stored"
NOT_STORED = "(not-stored)"
PADDING = "x" * 20


class Talker:
    """A user in a room.

    Attributes:
        said: When each message went to the socket (`time.monotonic`), by id.
        heard: When the sender read each of its own messages: that is its acknowledgement.
        seen: The ids of the room's messages, in the order in which they came.
        seen_at: When each came.
        others: All other lines.
        after_all_ids: The ids of its own messages that were said to have turned up after all.
        from_start: Nothing had been said in the room when it came.
    """

    def __init__(self, client: LineClient, nick: str, room: str) -> None:
        self.client = client
        self.nick = nick
        self.room = room
        self.said: dict[str, float] = {}
        self.heard: dict[str, float] = {}
        self.seen: list[str] = []
        self.seen_at: list[float] = []
        self.others: list[Received] = []
        self.after_all_ids: list[str] = []
        self.from_start = False
        self.left = False  # it went of its own accord
        self._unwritten = b""
        self._looked = 0
        self._turning_up = False  # its next own line was reported as failed

    @property
    def here(self) -> bool:
        """Whether the connection stands, so that something can be said."""
        return not self.client.ended and not self.left

    @property
    def failed(self) -> int:
        """How many messages were reported as not stored."""
        return sum(line.text.endswith(NOT_STORED) for line in self.others)

    @property
    def after_all(self) -> int:
        """How many of these were said to have turned up."""
        return sum(line.text.startswith(AFTER_ALL) for line in self.others)

    @property
    def open(self) -> int:
        """How many messages nothing has been said about yet."""
        return len(self.said) - len(self.heard) - self.failed + self.after_all

    def say(self) -> None:
        """Say the next thing."""
        id_ = f"<{self.room}.{self.nick}.{len(self.said)}>"
        self.said[id_] = time.monotonic()
        self._unwritten += f"send {id_} {PADDING}\r\n".encode()
        self.flush()

    def flush(self) -> bool:
        """Write what the socket takes; True if that is all there was."""
        while self._unwritten and self.here:
            try:
                taken = self.client.socket.send(self._unwritten)
            except BlockingIOError:
                break
            except OSError:  # reading will tell
                break
            self._unwritten = self._unwritten[taken:]
        return not self._unwritten

    def look(self) -> None:
        """Take in the lines that have been read since."""
        received = self.client.received
        while self._looked < len(received):
            line = received[self._looked]
            self._looked += 1
            found = MESSAGE.match(line.text)
            if not found:
                self.others.append(line)
                self._turning_up |= line.text.startswith(AFTER_ALL)
                continue
            nick, id_ = found[1], sys.intern(found[2])  # every member of the room has it
            self.seen.append(id_)
            self.seen_at.append(line.at)
            if nick == self.nick:
                if self._turning_up:
                    self.after_all_ids.append(id_)
                    self._turning_up = False
                self.heard.setdefault(id_, line.at)

    def forget(self) -> None:
        """Let the lines go that were taken in; `expect` must not be used any more."""
        self.client.received.clear()
        self.client.raw = b""
        self._looked = 0

    def told(self, text: str, since: float = 0.0) -> list[Received]:
        """The other lines with this text in them, read since then."""
        return [line for line in self.others if line.at >= since and text in line.text]
