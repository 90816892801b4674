"""Publishing: tried again until it is acknowledged, and given up with a reason."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from disroom.adapters.jetstream.api import Acknowledged, Outcome, Refused
from disroom.adapters.jetstream.echoes import Echoes
from disroom.adapters.jetstream.publisher import (
    GaveUp,
    Publisher,
    TooBig,
    WentWrong,
    outcome_of,
)
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NoAnswer, NobodyListens, NotConnected
from disroom.adapters.nats.inbox import Inbox
from disroom.adapters.nats.message import Incoming
from disroom.adapters.nats.settings import NatsSettings
from tests.adapters.jetstream.nats_log import MistakenConnection, Sleeper
from tests.contract.witness import promise
from tests.eventually import eventually, stand_still
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy

SILENCE = b""
UNDECIDED = {"error": {"code": 409, "err_code": 10158, "description": "in process"}}
TOO_MANY = {"error": {"code": 429, "err_code": 10167, "description": "too many requests"}}
NOT_LEADER = {"error": {"code": 500, "err_code": 10009, "description": "can not handle request"}}
FULL = {"error": {"code": 503, "err_code": 10077, "description": "no space left on device"}}
SEALED = {"error": {"code": 400, "err_code": 10109, "description": "sealed stream"}}
TOO_BIG = {"error": {"code": 400, "err_code": 10054, "description": "size exceeds maximum"}}


class Stream:
    """Answers publishes in place of a stream, as it is told to.

    Attributes:
        published: The id and the payload of each try.
        answers: What to answer to the next ones; afterwards it is seqs, from 1.
    """

    def __init__(self, connection: NatsConnection, subject: str) -> None:
        self.subject = subject
        self.published: list[tuple[str, bytes]] = []
        self.answers: list[dict[str, Any] | bytes] = []
        self._connection = connection
        self._seq = 0
        self._held: list[Incoming] | None = None

    def listen(self) -> None:
        """Begin to answer."""
        self._connection.subscribe(self.subject, self._received)

    def hold(self) -> None:
        """Answer nothing but by `release`."""
        self._held = []

    def release(self) -> None:
        """Answer the first of those held."""
        assert self._held
        self._answer(self._held.pop(0))

    def _received(self, message: Incoming) -> None:
        self.published.append((message.headers["Nats-Msg-Id"], message.data))
        if self._held is not None:
            self._held.append(message)
        else:
            self._answer(message)

    def _answer(self, message: Incoming) -> None:
        if self.answers:
            answer = self.answers.pop(0)
        else:
            self._seq += 1
            answer = {"stream": "S", "seq": self._seq}
        if answer != SILENCE and message.reply:
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            Deferred.fromCoroutine(self._connection.publish(message.reply, data))


class Bench:
    """A publisher and a stream, each with a connection, the publisher's through a proxy.

    Attributes:
        by_callback: Which of the publisher's two ways is taken.
    """

    def __init__(
        self, proxy: NatsProxy, server: NatsServer, subject: str, *, by_callback: bool = True
    ) -> None:
        self.by_callback = by_callback
        self.proxy = proxy
        self.connection = _connection(proxy.url)
        self._stream_connection = _connection(server.url)
        self.inbox = Inbox(self.connection, reactor)
        self.echoes = Echoes(self.connection)
        self.stream = Stream(self._stream_connection, subject)
        self._publishers: list[Publisher] = []

    async def start(self, *, listen: bool = True) -> None:
        """Connect both."""
        await self.connection.start()
        await self._stream_connection.start()
        if listen:
            await self.listen()

    async def listen(self) -> None:
        """Let there be a stream."""
        self.stream.listen()
        await self._stream_connection.flush(2.0)

    async def stop(self) -> None:
        """Disconnect."""
        for publisher in self._publishers:
            publisher.stop()
        await self.connection.stop()
        await self._stream_connection.stop()

    def publisher(self, clock: IReactorTime = reactor, **options: Any) -> Publisher:
        """Make a publisher."""
        options.setdefault("now", clock.seconds)
        made = Publisher(self.connection, self.inbox, self.echoes, clock, **options)
        self._publishers.append(made)
        return made

    def publish(self, publisher: Publisher, id_: str = "m1") -> Deferred[Acknowledged]:
        """Begin to publish a message; its payload is its id."""
        return self.publish_all(publisher, id_.encode(), id_)

    def publish_all(
        self, publisher: Publisher, payload: bytes, id_: str = "m1"
    ) -> Deferred[Acknowledged]:
        """Begin to publish a payload, by a coroutine or with a callback."""
        if not self.by_callback:
            return Deferred.fromCoroutine(publisher.publish(self.stream.subject, payload, id_))
        told: Deferred[Acknowledged] = Deferred()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Acknowledged):
                told.callback(outcome)
            else:
                told.errback(outcome)

        publisher.store(self.stream.subject, payload, id_, done)
        return told


def _connection(url: str) -> NatsConnection:
    return NatsConnection(lambda: NatsSettings((url,)), clock=reactor, instance_name="test")


@pytest_twisted.async_yield_fixture(  # type: ignore[untyped-decorator]  # it has no annotations
    params=["coroutine", "callback"]
)
async def bench(
    request: pytest.FixtureRequest, nats: NatsServer, unique: str
) -> AsyncIterator[Bench]:
    """Everything that a publisher needs, for each of its ways."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        made = Bench(proxy, nats, unique, by_callback=request.param == "callback")
        await made.start()
        yield made
        await made.stop()


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [UNDECIDED, UNDECIDED],
        [NOT_LEADER, UNDECIDED],
        [TOO_MANY, TOO_MANY],
        [b"garbage", b'{"seq": "x"}'],
        pytest.param([b'{"error":' + b'{"a":' * 5_000], id="deep"),
        [SILENCE],
    ],
)
@promise
async def test_a_message_is_tried_again_under_the_same_id(
    bench: Bench, answers: list[dict[str, Any] | bytes]
) -> None:
    """Whatever happens to an acknowledgement, the message is said, and said once."""
    bench.stream.answers = list(answers)
    assert (await bench.publish(bench.publisher())).seq == 1
    assert bench.stream.published == [("m1", b"m1")] * (len(answers) + 1)


@promise
async def test_a_stream_without_a_leader_is_waited_for(nats: NatsServer, unique: str) -> None:
    """During an election messages wait, without thousands of tries."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        bench = Bench(proxy, nats, unique)
        await bench.start(listen=False)
        clock = Clock()
        publishing = bench.publish(bench.publisher(clock))
        while clock.seconds() < 12:
            await bench.connection.flush(2.0)
            clock.advance(0.05)
        tries = [seen for seen in proxy.seen if seen.direction == "to_server"]
        assert 10 < sum(seen.frame.subject == unique for seen in tries) < 20
        await bench.listen()
        while not publishing.called:
            await bench.connection.flush(2.0)
            clock.advance(0.05)
        assert (await publishing).seq == 1
        await bench.stop()


@pytest.mark.parametrize(("answer", "reason"), [(FULL, "no space left"), (SEALED, "sealed")])
@promise
async def test_what_will_not_change_is_not_tried_again(
    bench: Bench, answer: dict[str, Any], reason: str
) -> None:
    """A user does not wait in vain where the store is full, and the reason is known."""
    bench.stream.answers = [answer]
    with pytest.raises(Refused, match=reason):
        await bench.publish(bench.publisher())
    assert len(bench.stream.published) == 1


@promise
async def test_a_message_that_is_too_big_is_not_sent(bench: Bench) -> None:
    """One user's long text does not cost everybody the connection, which the server would close."""
    publisher, limit = bench.publisher(), bench.connection.max_payload
    header = len("NATS/1.0\r\nNats-Msg-Id: m\r\n\r\n")
    with pytest.raises(TooBig, match=f"{limit} bytes"):
        await bench.publish_all(publisher, b"x" * (limit - header + 1), "m")
    await bench.publish_all(publisher, b"x" * (limit - header), "m")
    assert len(bench.stream.published) == 1 and bench.connection.connected
    bench.stream.answers = [TOO_BIG]  # the stream may take less than the server
    with pytest.raises(TooBig):
        await bench.publish(publisher)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Incoming(b"r", b"", b'{"stream":"S","seq":7}', b""), Acknowledged(7)),
        (Incoming(b"r", b"", json.dumps(FULL).encode(), b""), Refused),
        (Incoming(b"r", b"", b"garbage", b""), NoAnswer),
        (Incoming(b"r", b"", b"", b"NATS/1.0 503\r\n\r\n"), NobodyListens),
        (Incoming(b"r", b"", b'{"seq":7}', b"NATS/1.0\r\nA: b\r\n\r\n"), Acknowledged(7)),
        (NotConnected("the connection was lost"), NotConnected),
    ],
)
def test_an_answer_says_what_became_of_a_message(
    answer: Incoming | NatsError, outcome: Acknowledged | type[NatsError]
) -> None:
    """Whoever waits is told why not, so that it is tried again or not as that asks for."""
    known = outcome_of(answer)
    assert known == outcome if isinstance(outcome, Acknowledged) else type(known) is outcome


@promise
async def test_nobody_waits_for_ever(bench: Bench) -> None:
    """After about 15 s of silence a user is told; until then it is tried ever more slowly."""
    clock = Clock()
    bench.stream.answers = [SILENCE] * 100
    publishing = bench.publish(bench.publisher(clock))
    while not publishing.called:
        await bench.connection.flush(2.0)  # what was published is on its way
        clock.advance(0.05)
    with pytest.raises(GaveUp):
        await publishing
    assert 13 < clock.seconds() < 16
    await eventually(lambda: 8 <= len(bench.stream.published) <= 16)


@promise
async def test_a_standstill_of_the_instance_has_nothing_sent_twice(bench: Bench) -> None:
    """A process that was frozen reads what came before it doubles what it has yet to do."""
    publisher = bench.publisher()
    publishing = bench.publish(publisher)
    stand_still(1.5)
    assert (await publishing).seq == 1
    assert bench.stream.published == [("m1", b"m1")]


@promise
async def test_nothing_is_published_again_after_the_machine_has_slept(bench: Bench) -> None:
    """The stream may have forgotten the id by then, and would store the message twice."""
    sleeper = Sleeper()
    bench.stream.answers = [SILENCE]
    publishing = bench.publish(bench.publisher(now=sleeper))
    await eventually(lambda: bench.stream.published)
    sleeper.slept = 3600.0
    with pytest.raises(GaveUp):
        await publishing
    assert bench.stream.published == [("m1", b"m1")]


@promise
async def test_nor_where_it_slept_between_two_tries(bench: Bench) -> None:
    """As while it waited for a connection."""
    sleeper = Sleeper()
    bench.stream.hold()
    publishing = bench.publish(bench.publisher(now=sleeper))
    await eventually(lambda: bench.stream.published)
    bench.proxy.refuse()
    bench.proxy.cut()
    await eventually(lambda: bench.connection._waiting)
    sleeper.slept = 3600.0
    bench.proxy.accept()
    with pytest.raises(GaveUp):
        await publishing
    assert bench.connection.connected
    assert bench.stream.published == [("m1", b"m1")]


@promise
async def test_a_lost_connection_is_waited_for(bench: Bench) -> None:
    """A message that was under way when the connection broke is said when it is back, once."""
    bench.stream.hold()
    publisher = bench.publisher()
    under_way = bench.publish(publisher)
    await eventually(lambda: bench.stream.published)
    bench.proxy.refuse()
    bench.proxy.cut()
    await eventually(lambda: not bench.connection.connected)
    meanwhile = bench.publish(publisher, "m2")
    bench.proxy.accept()
    await eventually(lambda: len(bench.stream.published) == 3)
    assert sorted(bench.stream.published) == [("m1", b"m1"), ("m1", b"m1"), ("m2", b"m2")]
    for _ in range(3):
        bench.stream.release()
    for publishing in (under_way, meanwhile):
        assert (await publishing).seq in (2, 3)  # the first acknowledgement went nowhere


@promise
async def test_too_many_at_once_wait_their_turn(bench: Bench) -> None:
    """A flood of messages is let through in its order and does not overrun the stream."""
    bench.stream.hold()
    publisher = bench.publisher(most_in_flight=2)
    ids = [f"m{number}" for number in range(6)]
    publishing = [bench.publish(publisher, id_) for id_ in ids]
    for number in range(6):
        expected = ids[: number + 2]
        await eventually(lambda: len(bench.stream.published) >= len(expected))  # noqa: B023  # it is called at once
        assert [id_ for id_, _ in bench.stream.published] == expected
        bench.stream.release()
        await publishing[number]


@promise
async def test_a_turn_is_not_lost_with_who_waited_for_it(bench: Bench) -> None:
    """Who goes away while waiting does not hold up those behind."""
    bench.by_callback = False  # nothing else can be cancelled
    bench.stream.hold()
    publisher = bench.publisher(most_in_flight=1)
    first, second, third = (bench.publish(publisher, f"m{n}") for n in (1, 2, 3))
    second.addErrback(lambda failure: None).cancel()
    await eventually(lambda: bench.stream.published)
    bench.stream.release()
    await first
    await eventually(lambda: len(bench.stream.published) == 2)
    bench.stream.release()
    assert (await third).seq == 2


@pytest.mark.parametrize("id_", ["a b", "k: v", "ä", "x\r\nEvil: 1", "x" * 5000])
@promise
async def test_a_client_s_own_id_adds_nothing_to_a_message(bench: Bench, id_: str) -> None:
    """Whatever a client chooses as the key of its message stays within the id's field."""
    assert (await bench.publish_all(bench.publisher(), b"data", id_)).seq == 1
    ((published, data),) = bench.stream.published
    assert data == b"data"
    assert published.split() == id_.split() or "Evil" in published


@promise
async def test_a_failing_receipt_harms_nobody_else(bench: Bench) -> None:
    """A mistake with one user's message does not keep others from being told of theirs."""

    def fail(outcome: Outcome) -> None:
        raise RuntimeError("a mistake")

    publisher = bench.publisher(most_in_flight=1)
    publisher.store(bench.stream.subject, b"", "m0", fail)
    assert (await bench.publish(publisher)).seq == 2


@promise
async def test_an_answer_that_nobody_can_make_sense_of_ends_the_waiting(bench: Bench) -> None:
    """Whatever goes wrong with an answer, its sender is told, and the next one's turn comes."""
    bench.by_callback = True
    publisher = bench.publisher(most_in_flight=1)
    bench.stream.answers = [{"error": {"code": "four hundred"}}]
    with capturedLogs() as logged, pytest.raises(WentWrong, match="something went wrong"):
        await bench.publish(publisher)
    assert [event["log_failure"].type for event in logged if "log_failure" in event] == [TypeError]
    assert (await bench.publish(publisher, "m2")).seq == 1


@pytest.mark.parametrize("echoed", [False, True])
@promise
async def test_a_mistake_while_sending_leaves_nobody_waiting(
    nats: NatsServer, unique: str, echoed: bool
) -> None:
    """A message that could not be sent is sent again; if it cannot either, its sender is told."""
    connection = MistakenConnection(
        lambda: NatsSettings((nats.url,)), clock=reactor, instance_name="test"
    )
    await connection.start()
    stream = Stream(connection, unique)
    stream.listen()
    publisher = Publisher(connection, Inbox(connection, reactor), Echoes(connection), reactor, 1)
    await connection.flush(2.0)
    told: list[Outcome] = []
    connection.mistakes = [b"m1"]
    publisher.store(unique, b"m1", "m1", told.append, echoed=echoed)
    await eventually(lambda: told)
    assert told == [Acknowledged(1)]
    connection.mistakes = [b"m2", b"m2"]
    publisher.store(unique, b"m2", "m2", told.append, echoed=echoed)
    await eventually(lambda: len(told) == 2)
    assert isinstance(told[1], WentWrong)
    publisher.store(unique, b"m3", "m3", told.append)
    await eventually(lambda: len(told) == 3)
    assert told[2] == Acknowledged(2)
    publisher.stop()
    await connection.stop()


class Echoed:
    """A publisher of whose messages no acknowledgement is asked for, and what it told."""

    def __init__(self, bench: Bench, clock: IReactorTime = reactor) -> None:
        self.told: list[Outcome] = []
        self._bench = bench
        self._publisher = bench.publisher(clock, most_in_flight=2)

    def publish(self, id_: str) -> None:
        """Publish a message; its payload is its id."""
        subject = self._bench.stream.subject
        self._publisher.store(subject, id_.encode(), id_, self.told.append, echoed=True)

    def replies(self) -> list[bool]:
        """Of each message that was sent, whether an answer was asked for."""
        subject = self._bench.stream.subject
        heads = [seen.frame.raw.split(b"\r\n", 1)[0] for seen in self._bench.proxy.seen]
        return [len(head.split()) == 5 for head in heads if f" {subject} ".encode() in head]


@promise
async def test_a_live_copy_takes_the_place_of_an_acknowledgement(bench: Bench) -> None:
    """Nothing is asked for, and the next has its turn when the copy is there."""
    echoed = Echoed(bench)
    for id_ in ("m1", "m2", "m3"):
        echoed.publish(id_)
    await eventually(lambda: len(bench.stream.published) == 2)
    for number, id_ in enumerate(("m1", "m2"), 1):
        bench.echoes.seen(id_, number)
    assert echoed.told == [Acknowledged(1), Acknowledged(2)]
    bench.echoes.seen("m1", 1)  # as when it is delivered again
    await eventually(lambda: len(echoed.told) == 3)
    assert [id_ for id_, _ in bench.stream.published] == ["m1", "m2", "m3"]
    assert echoed.replies() == [False, False, True]  # the last had to wait for its turn


@promise
async def test_a_live_copy_that_does_not_come_is_asked_for(bench: Bench) -> None:
    """After a try's time the message is published again, and acknowledged; then nothing ticks."""
    clock = Clock()
    echoed = Echoed(bench, clock)
    echoed.publish("m1")
    await eventually(lambda: len(bench.stream.published) == 1)
    clock.pump([0.05] * 18)
    await bench.connection.flush(2.0)
    assert len(clock.getDelayedCalls()) == 1 and not echoed.told
    assert len(bench.stream.published) == 1
    while not echoed.told:
        clock.advance(0.05)
        await bench.connection.flush(2.0)
    assert echoed.told == [Acknowledged(2)]
    assert bench.stream.published == [("m1", b"m1")] * 2
    assert echoed.replies() == [False, True]
    clock.pump([0.05] * 40)
    assert not clock.getDelayedCalls()


@promise
async def test_a_lost_connection_takes_live_copies_with_it(bench: Bench) -> None:
    """What was under way is published again as soon as there is a connection."""
    echoed = Echoed(bench, Clock())  # which stands still: it is not the time that tells
    echoed.publish("m1")
    await eventually(lambda: len(bench.stream.published) == 1)
    bench.proxy.cut()
    await eventually(lambda: not bench.connection.connected)
    assert not bench.echoes._awaited


@promise
async def test_of_two_who_wait_for_the_same_message_none_waits_for_ever(bench: Bench) -> None:
    """The earlier one asks the stream, which answers with the seq of the first."""
    echoed = Echoed(bench, Clock())
    echoed.publish("m1")
    echoed.publish("m1")
    bench.echoes.seen("m1", 1)
    assert echoed.told == [Acknowledged(1)]
    assert not bench.echoes._awaited
