"""What a message takes from the room to the transports of its members."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from benchmarks.micro.conftest import Guard
from benchmarks.micro.sinks import Sink
from disroom.adapters.memory.courier import MemoryCourier, MemoryPost
from disroom.adapters.memory.log import MemoryRoomLog, MemoryStream
from disroom.adapters.memory.presence import MemoryPresence
from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.adapters.runtime import TwistedRuntime
from disroom.chat.events import Message
from disroom.chat.hub import Hub
from disroom.chat.limits import Limits
from disroom.chat.names import RoomName
from disroom.transports.connections import Connections
from disroom.transports.line import LineFactory, LineSettings
from disroom.transports.outbox import Flusher
from disroom.transports.reception import Reception
from disroom.wire.line import LineFormat

AT_ONCE = 16


@pytest.mark.parametrize("members", [10, 1000])
def test_fan_out(benchmark: BenchmarkFixture, guard: Guard, message: Message, members: int) -> None:
    """Messages that arrive together go to each member in one write."""
    clock = Clock()
    hub, sinks = room_of(members, clock)
    room = hub.room(RoomName.parse("general"))
    assert room is not None

    def deliver() -> None:
        for _ in range(AT_ONCE):
            room.received(message)
        clock.advance(0)

    for sink in sinks:
        sink.written = 0
    deliver()
    assert {sink.written for sink in sinks} == {1}
    benchmark.extra_info["deliveries"] = AT_ONCE * members
    benchmark(deliver)
    guard(4 * AT_ONCE * members)


def room_of(members: int, clock: Clock) -> tuple[Hub, list[Sink]]:
    """Connect so many users and have them join a room; everything but the sockets is real."""
    runtime = TwistedRuntime(clock)
    presence = MemoryPresence(MemoryPresenceStore(), instance_name="one", fresh_id=runtime.fresh_id)
    hub = Hub(
        log=MemoryRoomLog(MemoryStream()),
        presence=presence,
        courier=MemoryCourier(MemoryPost(), presence.incarnation),
        runtime=runtime,
        limits=Limits(),
    )
    Deferred.fromCoroutine(presence.start())
    reception = Reception(clock, hub, Connections(members), Flusher(clock), "one")
    settings = LineSettings(flood=None)
    factory = LineFactory(reception, format=LineFormat(), settings=settings)
    sinks = []
    for number in range(members):
        protocol, sink = factory.buildProtocol(None), Sink()
        protocol.makeConnection(sink)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        protocol.dataReceived(f"nick u{number}\njoin general\n".encode())
        clock.advance(0)
        sinks.append(sink)
    return hub, sinks
