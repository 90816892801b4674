"""What the log looks like, and where it goes."""

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure

from disroom.config import ConfigError
from disroom.logs import JsonLogObserver, log_observer


class Loop:
    """The part of a reactor that a signal wakes up."""

    def callFromThread(self, work: Callable[[], None]) -> None:  # noqa: N802 - Twisted's name
        """Do it at once."""
        work()


def written(event: LogEvent) -> dict[str, Any]:
    """What one event is written as."""
    out = io.StringIO()
    JsonLogObserver(out)(event)
    line, end, more = out.getvalue().partition("\n")
    assert (end, more) == ("\n", "")
    found: dict[str, Any] = json.loads(line)
    return found


def event(text: str, /, **fields: Any) -> LogEvent:
    """An event as twisted.logger makes it."""
    return {
        "log_time": 1.5,
        "log_level": LogLevel.warn,
        "log_namespace": "disroom.x",
        "log_format": text,
        **fields,
    }


def test_an_event_is_one_line_with_its_fields() -> None:
    """A collector finds time, level, origin, the text and every plain value of the event."""
    assert written(event("#{room} lost {count}", room="tea", count=3, ratio=0.5, done=True)) == {
        "at": 1.5,
        "level": "warn",
        "from": "disroom.x",
        "text": "#tea lost 3",
        "room": "tea",
        "count": 3,
        "ratio": 0.5,
        "done": True,
    }


def test_a_field_cannot_pass_for_another() -> None:
    """What an event carries does not take the place of its time, level, origin or text."""
    line = written(event("{text}", text="x", at="y", level="z", peer=object()))
    assert (line["at"], line["level"], line["text"]) == (1.5, "warn", "x")
    assert "peer" not in line


def test_a_failure_comes_with_its_traceback() -> None:
    """Who reads the log sees where something went wrong, in the same line."""
    try:
        raise ValueError("boo")
    except ValueError:
        line = written(event("oh", log_failure=Failure(), log_level=LogLevel.critical))
    assert "ValueError: boo" in line["traceback"]
    assert "test_logs.py" in line["traceback"]
    assert line["level"] == "critical"


def test_an_event_of_another_library_is_written_too() -> None:
    """What logs by Twisted's older way, without level or origin, is not lost."""
    line = written({"message": ("plain",), "isError": 0, "time": 2.5, "log_time": 2.5})
    assert (line["level"], line["from"]) == ("info", "")
    assert "isError" not in line


@given(
    st.text(),
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1).filter(
            lambda key: not key.startswith("log") and key != "isError"
        ),
        st.text()
        | st.integers()
        | st.floats()
        | st.none()
        | st.binary()
        | st.just("\ud800")
        | st.just(1 << 80),
    ),
)
def test_any_event_is_one_line_of_json(text: str, fields: dict[str, Any]) -> None:
    """Nothing that is logged breaks the log: no line end, no bad character, no great number."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    made = event(escaped, **fields)
    shown = formatEvent(made)
    if "text" not in fields:
        assert written(made)["text"] == shown.encode(errors="backslashreplace").decode()


# Where it goes.


@pytest.fixture
def no_signal() -> Iterator[None]:
    """Put the handler of SIGUSR1 back."""
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def log_to(format_: str, **twistd: Any) -> Logger:
    """A logger on the observer that twistd would be given."""
    observer = log_observer(format_, twistd, Loop())
    assert observer is not None
    return Logger("disroom", observer=observer)


@pytest.mark.usefixtures("no_signal")
def test_a_file_gets_text_or_json(tmp_path: Path) -> None:
    """``--logfile`` works with either format, and appends."""
    text, lines = tmp_path / "text.log", tmp_path / "json.log"
    for number in range(2):
        log_to("text", logfile=str(text)).warn("hällo {n}", n=number)
        log_to("json", logfile=str(lines)).warn("hällo {n}", n=number)
    assert [line.split("] ")[-1] for line in text.read_text("utf-8").splitlines()] == [
        *("hällo 0", "hällo 1")
    ]
    assert [json.loads(line)["text"] for line in lines.read_text("utf-8").splitlines()] == [
        *("hällo 0", "hällo 1")
    ]


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("logfile", [None, "-"])
def test_in_the_foreground_the_log_is_standard_output(
    format_: str, logfile: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """``twistd -n disroom`` shows its log in the terminal."""
    log_to(format_, logfile=logfile, nodaemon=True).info("hello")
    assert "hello" in capsys.readouterr().out


@pytest.mark.usefixtures("no_signal")
def test_a_daemon_logs_to_twistds_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``twistd disroom`` logs to twistd.log in the working directory, as twistd does."""
    monkeypatch.chdir(tmp_path)
    log_to("json").info("hello")
    assert "hello" in (tmp_path / "twistd.log").read_text("utf-8")


@pytest.mark.parametrize("twistd", [{"syslog": True}, {"logfile": "-"}])
def test_what_only_twistd_can_do_is_left_to_it(twistd: dict[str, Any]) -> None:
    """``--syslog`` works, and a daemon that cannot log to its terminal is refused by twistd."""
    assert log_observer("json", twistd, Loop()) is None


def test_what_is_for_debugging_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The log does not fill up with each try to reach a broker that is away."""
    log = log_to("text", nodaemon=True)
    log.debug("noise")
    log.info("news")
    out = capsys.readouterr().out
    assert "news" in out
    assert "noise" not in out


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_file_that_cannot_be_written_is_told_of(tmp_path: Path, format_: str) -> None:
    """A wrong ``--logfile`` is one clear line."""
    path = tmp_path / "none" / "x.log"
    with pytest.raises(ConfigError, match=r"cannot write --logfile .*: No such file or directory"):
        log_observer(format_, {"logfile": str(path)}, Loop())


@pytest.mark.usefixtures("no_signal")
def test_the_file_is_rotated_on_a_signal(tmp_path: Path) -> None:
    """SIGUSR1 begins a new file, as twistd's own logs do."""
    log = log_to("json", logfile=str(tmp_path / "x.log"))
    log.info("before")
    os.kill(os.getpid(), signal.SIGUSR1)
    log.info("after")
    assert "after" in (tmp_path / "x.log").read_text("utf-8")
    assert "before" in (tmp_path / "x.log.1").read_text("utf-8")
