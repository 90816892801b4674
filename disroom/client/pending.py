"""Requests without an answer, from one connection to the next."""

from __future__ import annotations

from collections import deque

import msgspec

from disroom.client.calls import Call, ChatFailed
from disroom.wire import frame, messages

MOST_WAITING = 10_000
"""Requests without an answer; more are refused."""

_GREATEST_ID = (1 << 53) - 1

_encode = msgspec.msgpack.Encoder().encode


class Pending:
    """The requests of one user: those that wait to be sent, and those that wait to be answered."""

    def __init__(self) -> None:
        self._unsent: deque[Call] = deque()
        self._sent: dict[int, Call] = {}
        self._posted: dict[str, Call] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._unsent) + len(self._sent)

    def refusal(self, call: Call) -> ChatFailed | None:
        """Why a request cannot be taken, if so; the server would end the connection over some."""
        if len(self) >= MOST_WAITING:
            return ChatFailed("too-much", f"{MOST_WAITING} requests wait for an answer already")
        try:
            size = len(_encode(call.body(_GREATEST_ID)))
        except (TypeError, ValueError) as error:  # a lone surrogate, say
            return ChatFailed("bad-request", f"{call.op}: {error}")
        if size > frame.MOST_BYTES:
            return ChatFailed("frame-too-long", f"a request has at most {frame.MOST_BYTES} bytes")
        return None

    def wait(self, call: Call) -> None:
        """Keep a request until there is a connection."""
        self._unsent.append(call)

    def sent(self, call: Call, session: str) -> bytes:
        """Take note that a request is sent, in this session, and return it as a frame."""
        self._last_id += 1
        self._sent[self._last_id] = call
        if call.posts:
            self._posted.pop(call.message, None)
            call.message = f"{session}-{call.fields['key']}"
            self._posted[call.message] = call
        return frame.encode(_encode(call.body(self._last_id)))

    def asked(self, id_: int) -> Call | None:
        """The request of that id; None where nobody waits for its answer."""
        return self._sent.get(id_)

    def answered(self, id_: int) -> None:
        """Take note that a request is answered."""
        call = self._sent.pop(id_)
        self._posted.pop(call.message, None)

    def seen(self, message: messages.StoredMessage) -> None:
        """Take note of a message that is in its room: it need not be sent again."""
        if call := self._posted.get(message.id):
            call.seq = message.seq

    def lose(self) -> None:
        """Keep for the next connection what was not answered on this one."""
        unanswered = [self._sent[id_] for id_ in sorted(self._sent)]
        self._sent.clear()
        self._unsent.extendleft(reversed([call for call in unanswered if call.again]))
        for call in unanswered:
            if not call.again:
                call.done(ChatFailed("disconnected", "the connection was lost meanwhile"))

    def take_unsent(self) -> list[Call]:
        """What is to be sent now, in its order, but for messages that were seen meanwhile."""
        calls, self._unsent = list(self._unsent), deque()
        for call in calls:
            if call.seq is not None:
                self._posted.pop(call.message, None)
                call.done(messages.Posted(0, call.fields["room"], call.seq))
        return [call for call in calls if call.seq is None]

    def fail(self, why: ChatFailed) -> None:
        """Fail all of them; what was sent may be carried out nevertheless."""
        calls = (*self._sent.values(), *self._unsent)
        self._sent.clear()
        self._unsent.clear()
        self._posted.clear()
        for call in calls:
            call.done(why.again())
