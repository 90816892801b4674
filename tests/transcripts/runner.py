"""Plays a transcript: how each thing is written, and what does it.

README.md has the form for those who write transcripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.transcripts.players import Mismatch
from tests.transcripts.script import BROKERS, SERVERS, NotATranscript, Step, Transcript
from tests.transcripts.stage import Stage


@dataclass(frozen=True, slots=True)
class _Form:
    """How something is written, and what does it: called with who, and the groups."""

    syntax: re.Pattern[str]
    act: Callable[..., None]


def _form(syntax: str, act: Callable[..., None]) -> _Form:
    return _Form(re.compile(syntax), act)


_Forms = tuple[_Form, ...]
_SERVER = "|".join(SERVERS)
_PEOPLE: _Forms = (
    _form(rf"connects(?: to ({_SERVER})( by its (?:telnet|proxied) port)?)?", Stage.connect),
    _form(rf"runs (.+) HOST PORT(?: of ({_SERVER}))?", Stage.run),
    _form(rf"pipes into (.+) HOST PORT(?: of ({_SERVER}))?", Stage.pipe),
    _form(r">(?: (.*))?", Stage.send),
    _form(r"<(?: (.*))?", Stage.receive),
    _form(r"(?s)~ (.+)", Stage.receive_any_order),
    _form(r"sends (.+)", Stage.send_hex),
    _form(r"receives (.+)", Stage.receive_hex),
    _form(r"skips to (.+)", Stage.skip),
    _form(r"retries (.+)", Stage.retry),
    _form(r"asks (.+) until (.+)", Stage.ask_until),
    _form(r"hears nothing", Stage.receive_nothing),
    _form(r"stops reading", Stage.be_deaf),
    _form(r"reads on", Stage.read_on),
    _form(r"half-closes", Stage.half_close),
    _form(r"resets", Stage.reset),
    _form(r"hangs up", Stage.hang_up),
    _form(r"is disconnected", Stage.be_disconnected),
)
_PROCESSES: _Forms = (
    _form(r"starts", Stage.start),
    _form(r"stops", Stage.stop),
    _form(r"is killed", Stage.kill),
    _form(r"freezes", Stage.freeze),
    _form(r"thaws", Stage.thaw),
)
_PATIENCE: _Forms = (_form(r"(\d+) s", Stage.set_patience),)


def play_on(stage: Stage, transcript: Transcript) -> None:
    """Set the stage and do one step after the other.

    Raises:
        NotATranscript: A step is written like none; found before anything is started.
        Mismatch: Something else happened; says at which line.
    """
    parts = [(step, *_read(transcript, step)) for step in transcript.steps]
    with stage:
        for step, form, found in parts:
            try:
                form.act(stage, step.who, *found.groups())
            except AssertionError as wrong:
                line = transcript.lines[step.number - 1]
                raise Mismatch(f"{transcript.at(step.number)}: {line}\n{wrong}") from None
        stage.end()


def _read(transcript: Transcript, step: Step) -> tuple[_Form, re.Match[str]]:
    """Find a step's form; raises NotATranscript where there is none."""
    if step.who == "patience":
        forms = _PATIENCE
    elif step.who in (*SERVERS, *BROKERS):
        forms = _PROCESSES
    else:
        forms = _PEOPLE
    for form in forms:
        found = form.syntax.fullmatch(step.what)
        if found:
            return form, found
    raise NotATranscript(f"{transcript.at(step.number)}: {step.who} cannot do this: {step.what!r}")
