"""Playing a transcript that is wrong says where, and what happened instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.chat import Chat
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer
from tests.transcripts.players import Mismatch
from tests.transcripts.runner import play_on
from tests.transcripts.script import NotATranscript, Transcript
from tests.transcripts.stage import Stage

Play = Callable[[str], None]

CONNECT = """\
# A comment.
alice connects
alice < Welcome to DisRoom! Come in with: join ROOM (for the verbs: help)
"""


@pytest.fixture
def play(
    tmp_path: Path,
    nats: NatsServer,
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    unique: str,
) -> Play:
    """Play a text."""

    def play(text: str) -> None:
        path = tmp_path / "talk.txt"
        path.write_text(text, encoding="utf-8")
        transcript = Transcript.read(path)
        chat = Chat(new_disroom, nats.url, redis.url, unique)
        play_on(Stage(transcript, tmp_path, chat, {}), transcript)

    return play


def test_a_wrong_line_is_named(play: Play) -> None:
    """Who broke a conversation reads which line of it, what was expected, and what came."""
    text = f"{CONNECT}alice > ping\nalice < Ping\nalice > exit\n"
    with pytest.raises(Mismatch) as wrong:
        play(text)
    assert str(wrong.value) == "talk.txt:5: alice < Ping\nexpected: Ping\ngot:      Pong"


def test_what_is_left_at_the_end_is_wrong(play: Play) -> None:
    """A line that the transcript does not have is not overlooked, be it the last."""
    left = r"(?s)left at the end.*got: +You are alice"
    with pytest.raises(Mismatch, match=left):
        play(f"{CONNECT}alice > nick alice\n")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice leaps", "talk.txt:4: alice cannot do this: 'leaps'"),
        ("one connects", "one cannot do this"),
        ("alice stops", "alice cannot do this"),
        ("Alice", "not a line of a transcript"),
    ],
)
def test_a_line_that_means_nothing_is_refused(play: Play, line: str, why: str) -> None:
    """Nobody waits for the servers to learn of a slip of the pen."""
    with pytest.raises(NotATranscript, match=why):
        play(f"{CONNECT}{line}\n")


def test_who_is_not_connected_does_nothing(play: Play) -> None:
    """Somebody who has left, or never came, cannot receive a line."""
    text = f"{CONNECT}alice hangs up\nalice > ping\n"
    with pytest.raises(Mismatch, match="alice is not connected"):
        play(text)
