"""A conversation at a given rate on several instances, for as long as a fault lasts.

All in one thread: what is due is said, what has come is read. What blocks it (a broker's start)
delays what is due; it is said at once afterwards, so the count stays that of the schedule.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence

from tests.cluster.chat import Chat, enter
from tests.faults.count import Verdict, judge
from tests.faults.talker import MENTION, Talker
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.rawnats import RawNats
from tests.processes.text_client import Clients

LATE_SECONDS = 2.0
"""How far behind the schedule the sending may be at the end: the rate was not kept otherwise."""

POLL_SECONDS = 0.02


class Talk:
    """Users in rooms, spread evenly over instances, who take turns to speak.

    Args:
        chat: Whose stream has the truth.
        clients: Reads the users' connections.
        servers: The instances.
        rooms: How many rooms.
        each: Users of a room.
        rate: Messages a second, of all together.
    """

    def __init__(
        self,
        chat: Chat,
        clients: Clients,
        servers: Sequence[DisroomProcess],
        *,
        rooms: int = 5,
        each: int = 4,
        rate: float = 100.0,
    ) -> None:
        self.talkers: list[Talker] = []
        self.rate = rate
        self.scheduled = 0
        self._chat = chat
        self._clients = clients
        self._servers = dict[str, list[Talker]]()
        self._nicks = (f"u{number}" for number in itertools.count())
        for number, place in itertools.product(range(rooms), range(each)):
            self.add(servers[place % len(servers)], f"r{number}")
        for talker in self.talkers:
            talker.from_start = True
        self._turn = 0

    def add(self, server: DisroomProcess, room: str) -> Talker:
        """Have somebody join who talks from now on."""
        nick = next(self._nicks)
        client = LineClient(self._clients, server.address)
        enter(client, nick, room)
        talker = Talker(client, nick, room)
        self.talkers.append(talker)
        self._servers.setdefault(server.name, []).append(talker)
        return talker

    def on(self, server: DisroomProcess) -> list[Talker]:
        """The users of an instance."""
        return self._servers.get(server.name, [])

    @property
    def here(self) -> list[Talker]:
        """Those whose connection stands."""
        return [talker for talker in self.talkers if talker.here]

    # Going on.

    def run(self, seconds: float) -> None:
        """Talk for so long.

        Raises:
            AssertionError: The rate was not kept.
        """
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], object], most: float) -> bool:
        """Talk until this is so, for so many seconds at most; whether it was so.

        Raises:
            AssertionError: The rate was not kept.
        """
        start = time.monotonic()
        said = 0
        while True:
            elapsed = min(time.monotonic() - start, most)
            while said < int(elapsed * self.rate):
                said += 1
                self.scheduled += 1
                self._say_next()
            self.read(POLL_SECONDS if said >= int(elapsed * self.rate) else 0.0)
            done = bool(condition())
            if done or time.monotonic() - start >= most:
                late = time.monotonic() - start - most
                assert late < LATE_SECONDS, f"the schedule was not kept: {late:.1f} s late"
                return done

    def _say_next(self) -> None:
        for _ in self.talkers:
            talker = self.talkers[self._turn % len(self.talkers)]
            self._turn += 1
            if talker.here:
                talker.say()
                return

    def read(self, seconds: float = 0.0) -> None:
        """Say nothing and read what there is."""
        self._clients.pump(seconds)
        for talker in self.talkers:
            talker.flush()
            talker.look()

    def settle(self, timeout: float = 30.0) -> None:
        """Say nothing more and wait until there is word about every message.

        Raises:
            AssertionError: There was none, for so long.
        """
        self.wait(
            lambda: all(talker.flush() and talker.open <= 0 for talker in self.here),
            timeout,
            lambda: (
                "no word about: "
                + ", ".join(f"{t.nick} {t.open} of {len(t.said)}" for t in self.here if t.open > 0)
            ),
        )

    def wait(
        self, condition: Callable[[], object], timeout: float, what: Callable[[], str]
    ) -> None:
        """Read until this is so.

        Raises:
            AssertionError: It was not, for so long.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"after {timeout} s: {what()}"
            self.read(POLL_SECONDS)

    # What came of it.

    def answered_since(self, since: float, talkers: Sequence[Talker] | None = None) -> bool:
        """Whether each has had an acknowledgement since then."""
        return all(
            any(at > since for at in reversed(talker.heard.values()))
            for talker in (self.here if talkers is None else talkers)
        )

    def resumed(self, since: float) -> float:
        """Seconds from then until each who is here had an acknowledgement again."""
        firsts = (
            min((at for at in t.heard.values() if at > since), default=0.0) for t in self.here
        )
        return max(firsts) - since

    def flowed(self, since: float) -> float:
        """Seconds from then until the first acknowledgement of anybody."""
        return min(at for t in self.here for at in t.heard.values() if at > since) - since

    def verdict(self, raw: RawNats, settle: float = 30.0) -> Verdict:
        """Wait for word about every message and for what members lack, and judge."""
        self.settle(settle)
        truth = read_truth(raw, self._chat.name)
        with contextlib.suppress(AssertionError):  # the verdict says it
            self.wait(lambda: not judge(self.talkers, truth, scheduled=0).lost, 15.0, str)
        return judge(self.talkers, truth, scheduled=self.scheduled)


def read_truth(raw: RawNats, chat: str) -> dict[str, list[str]]:
    """The ids in a chat's stream, in its order, by room."""
    stored: dict[str, list[str]] = {}
    prefix = f"{chat}.room."
    for message in raw.stream_messages(chat, f"{prefix}>"):
        ids = MENTION.findall(message.payload.decode("utf-8", "replace"))
        stored.setdefault(message.subject.removeprefix(prefix), []).extend(ids)
    return stored
