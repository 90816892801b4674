"""Conversations as they are written down: each file is played, and every line compared."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import disroom
from disroom.chat.errors import ChatError
from disroom.wire.verbs import VERBS
from tests.cluster.chat import Chat
from tests.processes.child import Child
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer
from tests.transcripts.players import Mismatch
from tests.transcripts.runner import play_on
from tests.transcripts.script import Transcript
from tests.transcripts.stage import Stage

HERE = Path(__file__).parent
CONVERSATIONS = [Transcript.read(path) for path in sorted(HERE.glob("*.txt"))]
FAULTS = [Transcript.read(path) for path in sorted((HERE / "faults").glob("*.txt"))]

Play = Callable[[Transcript], None]


@pytest.fixture
def play(
    tmp_path: Path,
    nats: NatsServer,
    redis: RedisServer,
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    new_disroom: Callable[..., DisroomProcess],
    unique: str,
) -> Play:
    """Play a transcript, on brokers of its own if it does something to them."""

    def play(transcript: Transcript) -> None:
        own_nats = new_nats() if transcript.touches("nats") else nats
        own_redis = new_redis() if transcript.touches("redis") else redis
        chat = Chat(new_disroom, own_nats.url, own_redis.url, unique)
        brokers: dict[str, Child] = {"nats": own_nats, "redis": own_redis}
        failure = ""
        try:
            play_on(Stage(transcript, tmp_path, chat, brokers), transcript)
        except Mismatch as wrong:
            failure = f"{transcript.path}\n{wrong}"
        if failure:
            pytest.fail(failure, pytrace=False)

    return play


def each(transcripts: list[Transcript]) -> pytest.MarkDecorator:
    """Make each a parameter, named as its file, left out where a program is missing."""
    return pytest.mark.parametrize(
        "transcript",
        [
            pytest.param(
                transcript,
                id=transcript.path.stem,
                marks=[pytest.mark.needs(program) for program in sorted(transcript.programs)],
            )
            for transcript in transcripts
        ],
    )


@each(CONVERSATIONS)
def test_a_conversation(transcript: Transcript, play: Play) -> None:
    """People see what the transcript says, each line of it, in its order, and nothing else."""
    play(transcript)


# A class is a scope to pytest-xdist: those that wait for clocks run beside the others.
class TestFaults:
    """What goes wrong with servers, brokers and clients."""

    @each([transcript for transcript in FAULTS if not transcript.is_long])
    def test_a_conversation(self, transcript: Transcript, play: Play) -> None:
        """People are told what goes wrong, and what they may rely on then, as written down."""
        play(transcript)


class TestLongFaults:
    """What takes its time until it is given up."""

    @each([transcript for transcript in FAULTS if transcript.is_long])
    def test_a_conversation(self, transcript: Transcript, play: Play) -> None:
        """People are told in the end."""
        play(transcript)


def errors(kind: type[ChatError] = ChatError) -> Iterator[type[ChatError]]:
    """Yield every error with a code, in whichever module of the package it is."""
    for module in pkgutil.walk_packages(disroom.__path__, "disroom."):
        importlib.import_module(module.name)
    for subclass in kind.__subclasses__():
        if "code" in vars(subclass):
            yield subclass
        yield from errors(subclass)


NOT_IN_LINES = {"bad-request", "bad-frame", "frame-too-long", "ping-flood"}
"""Codes that only clients of the binary protocol and of WebSocket can meet."""


def test_every_error_has_a_transcript() -> None:
    """Whoever meets an error code can read how it comes about and what follows."""
    shown = {code for transcript in CONVERSATIONS + FAULTS for code in transcript.answered_codes()}
    missing = {error.code for error in errors()} - shown - NOT_IN_LINES
    assert not missing, f"no transcript shows {', '.join(sorted(missing))}"


def test_every_verb_has_a_transcript() -> None:
    """Whoever wonders what a verb does can read it in a conversation."""
    sent = {
        words[0].lower().removeprefix("/")
        for transcript in CONVERSATIONS + FAULTS
        for step in transcript.steps
        if step.what.startswith("> ") and (words := step.what[2:].split())
    }
    missing = {verb.name for verb in VERBS} - sent
    assert not missing, f"no transcript uses {', '.join(sorted(missing))}"
