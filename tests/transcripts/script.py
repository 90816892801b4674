"""Transcripts as files: what is set up, and the steps of the conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

SERVERS = ("one", "two", "three")
BROKERS = ("nats", "redis")

_SETTING = re.compile(r"with (?P<section>[a-z]+)\.(?P<key>[a-z_]+) = (?P<value>.+)")
_STEP = re.compile(r"(?P<who>[a-z][a-z0-9]*) (?P<what>.+)")
_GOING = re.compile(r"(?:connects to|runs .* of|pipes into .* of) (?P<server>\w+)")
_ANSWERED_CODE = re.compile(r"[a-z]+ (?:<|~|skips to) Error: .* \((?P<code>[a-z-]+)\)")


class NotATranscript(Exception):
    """A file does not keep to the form; says where, and how it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody, and what they do: a line, or several that are received in any order."""

    number: int
    who: str
    what: str

    def goes_with(self, before: Step) -> bool:
        """Whether this line and the one before are received in any order."""
        return (
            before.who == self.who
            and before.what.startswith("~ ")
            and self.what.startswith("~ ")
            and before.number + before.what.count("\n") + 1 == self.number
        )


@dataclass(frozen=True)
class Transcript:
    """A conversation.

    Attributes:
        path: Where it was read.
        lines: The file's, without their ends.
        settings: Of every server, as environment variables.
        motd: The message of the day, a line each.
        steps: What is done, in this order.
    """

    path: Path
    lines: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    motd: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Transcript:
        """Read a file.

        Raises:
            NotATranscript: A line of it is none.
        """
        transcript = cls(path, tuple(path.read_text(encoding="utf-8").splitlines()))
        for number, line in enumerate(transcript.lines, 1):
            transcript._add(number, line)
        return transcript

    def _add(self, number: int, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if line.startswith("motd | "):
            self.motd.append(line.removeprefix("motd | "))
        elif setting := _SETTING.fullmatch(line):
            variable = f"DISROOM_{setting['section']}_{setting['key']}".upper()
            self.settings[variable] = setting["value"]
        elif found := _STEP.fullmatch(line):
            step = Step(number, found["who"], found["what"])
            if self.steps and step.goes_with(self.steps[-1]):
                before = self.steps.pop()
                step = replace(before, what=f"{before.what}\n{step.what}")
            self.steps.append(step)
        else:
            raise NotATranscript(f"{self.at(number)}: not a line of a transcript: {line!r}")

    def at(self, number: int) -> str:
        """Name a line, for messages."""
        return f"{self.path.name}:{number}"

    @cached_property
    def servers(self) -> tuple[str, ...]:
        """The servers in it: the first one, and others that somebody goes to or does things to."""
        named = {"one"}
        for step in self.steps:
            going = _GOING.match(step.what)
            named.add(going["server"] if going else step.who)
        return tuple(name for name in SERVERS if name in named)

    def touches(self, broker: str) -> bool:
        """Whether something is done to this broker, so that it must be the transcript's own."""
        return any(step.who == broker for step in self.steps)

    @cached_property
    def programs(self) -> frozenset[str]:
        """The programs that the machine must have."""
        found = (re.match(r"(?:runs|pipes into) (\S+)", step.what) for step in self.steps)
        return frozenset(program[1] for program in found if program)

    @property
    def is_long(self) -> bool:
        """Whether somebody in it waits for longer than usual."""
        return any(step.who == "patience" for step in self.steps)

    def answered_codes(self) -> Iterator[str]:
        """Yield the codes of the errors that somebody receives."""
        for line in self.lines:
            if answered := _ANSWERED_CODE.fullmatch(line):
                yield answered["code"]
