"""What the codecs take for one message: read, stored, read again, shown."""

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.conftest import TEXT, Guard
from disroom.chat.events import Draft, Message
from disroom.chat.names import Nick, RoomName
from disroom.wire.commands import Say
from disroom.wire.envelope import Envelope, decode, encode
from disroom.wire.line import LineFormat
from disroom.wire.lineedit import decode_line
from disroom.wire.lineinput import LineInput
from disroom.wire.telnet import Telnet
from disroom.wire.verbs import parse


def test_cut_into_lines(benchmark: BenchmarkFixture, guard: Guard) -> None:
    """Telnet and line ends cost little where there is nothing to take out."""
    lines = LineInput(Telnet(negotiate_at_once=False))
    data = f"send {TEXT}\n".encode()
    assert benchmark(lines.feed, data) == data
    guard(14)


def test_parse(benchmark: BenchmarkFixture, guard: Guard) -> None:
    """A line becomes a command."""
    line = f"send {TEXT}".encode()
    assert benchmark(lambda: parse(decode_line(line))) == Say(TEXT)
    guard(16)


def test_encode_envelope(benchmark: BenchmarkFixture, guard: Guard) -> None:
    """A draft becomes what is stored."""
    draft = Draft("k" * 22, "said", Nick.parse("alice"), "s" * 22, TEXT)
    assert benchmark(encode, draft) == Envelope.of(draft).encode()
    guard(8)


def test_decode_envelope(benchmark: BenchmarkFixture, guard: Guard, message: Message) -> None:
    """What is stored becomes a message, once for each instance."""
    data = Envelope(message.id, "said", "alice", message.session, TEXT).encode()
    room = RoomName.parse("general")
    assert benchmark(decode, data, room, message.seq, message.at) == message
    guard(16)


def test_format(benchmark: BenchmarkFixture, guard: Guard, message: Message) -> None:
    """A message becomes a line, once for each instance."""
    form = LineFormat()
    other = message._replace(seq=4812)

    def both() -> bytes:
        form.event(other)  # or it would be remembered
        return form.event(message)

    assert benchmark(both).endswith(TEXT.encode() + b"\r\n")
    guard(32)
