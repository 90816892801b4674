"""How a connection begins: the first request, and then the rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from disroom.client.calls import ChatFailed, Outcome
from disroom.client.events import Connected, Event, NotRejoined
from disroom.client.rejoin import Rejoin, Send
from disroom.client.rooms import RoomEvent, Rooms
from disroom.wire import messages

NICK_ATTEMPTS = 40
"""How often the nick is asked for again while the lost session may still hold it."""


@dataclass(slots=True)
class Identity:
    """What a user keeps from one connection to the next.

    Attributes:
        nick: What the user is called.
        session: The id of the session; empty before the first.
        token: That takes it up again; empty where there is none to take up.
        log: To which the seqs of the rooms belong.
        lost: Whether a session was lost, until all that waits has been asked again.
        refused: How often the nick was taken since then.
        asked_in_vain: The token that was shown on a connection which was lost before its answer;
            empty for none. That server may yet take the session up by it: one that is frozen reads
            what was sent when it moves again.
    """

    nick: str
    session: str = ""
    token: str = ""
    log: str = ""
    lost: bool = False
    refused: int = 0
    asked_in_vain: str = ""


class Arrival:
    """The beginning of one connection.

    Args:
        who: Who comes.
        rooms: Where the user was, or is to be from the beginning.
        send: Sends a request.
        take: Takes the next event of a room, if it is new.
        tell: Takes every other event.
        done: Called when the user is in its rooms.
        refused: Called with the reason where the user is not let in, and whether to try again.

    Attributes:
        welcomed: Whether the first request was answered well.
    """

    def __init__(
        self,
        who: Identity,
        rooms: Rooms,
        *,
        send: Send,
        take: Callable[[RoomEvent], None],
        tell: Callable[[Event], None],
        done: Callable[[], None],
        refused: Callable[[ChatFailed, bool], None],
    ) -> None:
        self.welcomed = False
        self._who = who
        self._rooms = rooms
        self._send = send
        self._take = take
        self._tell = tell
        self._done = done
        self._tell_refused = refused
        self._rejoin: Rejoin | None = None

    def begin(self) -> None:
        """Say hello: to go on with the session, or where there is none to begin one."""
        fields: dict[str, Any] = {"nick": self._who.nick}
        if self._who.token:
            seen = {room.name: room.seq for room in self._rooms.values() if room.entered_once}
            fields = {"token": self._who.token, "log": self._who.log, "seqs": seen}
        self._send("hello", fields, messages.Welcomed, self._greeted)

    def take(self, event: RoomEvent) -> None:
        """Take an event of a room, which waits where the room has not been read back."""
        if self._rejoin is None or not self._rejoin.hold(event):
            self._take(event)

    def _greeted(self, outcome: Outcome) -> None:
        if isinstance(outcome, messages.Welcomed):
            self._welcomed(outcome)
        elif isinstance(outcome, ChatFailed) and outcome.code != "disconnected":
            self._refused(outcome)

    def _refused(self, why: ChatFailed) -> None:
        who = self._who
        if why.code == "no-session" and who.token:
            who.lost, who.token = True, ""
            self.begin()
            return
        held = why.code == "nick-taken" and who.lost and who.refused < NICK_ATTEMPTS
        who.refused += held
        self._tell_refused(why, held or why.for_a_moment)

    def _welcomed(self, told: messages.Welcomed) -> None:
        who = self._who
        resumed, another_log = bool(who.token), who.log not in ("", told.log)
        who.token, who.log, who.session = told.token, told.log, told.session
        who.nick, who.refused = told.nick or who.nick, 0
        self.welcomed = True
        self._tell(Connected(who.nick, resumed, told.instance))
        for inside in told.rooms:
            self._find(inside)
        there = {self._rooms[inside.room].name for inside in told.rooms}
        # A message of the lost session is looked for in every room before it is sent again.
        away = [room for room in self._rooms.values() if who.lost or room.name not in there]
        if another_log:
            for room in away:
                if room.entered_once and room.name not in there:
                    self._take(messages.Gap(room.name))
        self._rejoin = Rejoin(
            away,
            send=self._send,
            take=self._take,
            done=self._rejoined,
            again=lambda why: self._tell_refused(why, True),
        )
        self._rejoin.begin()

    def _find(self, inside: messages.InRoom) -> None:
        """Take a room in which the resumed session is."""
        room = self._rooms.add(inside.room)
        first_time = not room.entered_once
        room.entered(inside)
        if first_time:
            room.begins_after(inside.messages, inside.seq)

    def _rejoined(self, failed: Mapping[str, ChatFailed]) -> None:
        for name, why in failed.items():
            self._rooms.remove(name)
            self._tell(NotRejoined(name, why.code, str(why)))
        self._done()
