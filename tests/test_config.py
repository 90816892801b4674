"""How the configuration is put together, and what it says where it cannot be."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.config import (
    DEFAULT_PORT,
    Config,
    ConfigError,
    default_instance_name,
    default_state_dir,
    load,
    parse_flood,
)

DAY = 86400


def refusal(**arguments: Any) -> str:
    """The one line with which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load(**arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def toml(directory: Path, text: str) -> Path:
    """A file with this text."""
    file = directory / "disroom.toml"
    file.write_text(text, encoding="utf-8")
    return file


# Where a setting comes from.


def test_nothing_needs_to_be_configured() -> None:
    """Without a word the service listens on 8080 and brings its own brokers."""
    config = load()
    assert config == Config()
    assert config.port == DEFAULT_PORT
    assert config.embedded
    assert config.flood == (20.0, 100)
    assert float(config.stream.max_age) == 7 * DAY
    assert config.stream.max_bytes == 10 << 30


def test_options_win_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    """What is nearest to the operator counts."""
    file = toml(tmp_path, "[server]\nport = 1\ntelnet = 1\nmotd = 'file'\n[limits]\nrooms = 7\n")
    environment = {"DISROOM_PORT": "2", "DISROOM_SERVER_TELNET": "2", "PATH": "/bin"}
    config = load(file=file, environment=environment, options={"server.port": "3"})
    assert (config.server.port, config.server.telnet, config.server.motd) == (3, 2, "file")
    assert config.limits.rooms == 7


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("DISROOM_PORT", "2323", "server.port", 2323),
        ("DISROOM_SERVER_PORT", "2323", "server.port", 2323),
        ("DISROOM_INSTANCE_NAME", "srv-1", "server.instance_name", "srv-1"),
        ("DISROOM_STATE_DIR", "/tmp/x", "server.state_dir", "/tmp/x"),
        ("DISROOM_LISTEN", "tcp:1, unix:/s ,", "server.listen", ("tcp:1", "unix:/s")),
        ("DISROOM_NATS_URL", "nats://a,nats://b", "nats.url", ("nats://a", "nats://b")),
        ("DISROOM_NATS_PASSWORD", "007", "nats.password", "007"),
        ("DISROOM_REDIS_URL", "redis://r", "redis.url", "redis://r"),
        ("DISROOM_REDIS_PASSWORD", "a,b", "redis.password", "a,b"),
        ("DISROOM_STREAM_MAX_AGE", "12h", "stream.max_age", DAY / 2),
        ("DISROOM_STREAM_MAX_BYTES", "64MiB", "stream.max_bytes", 64 << 20),
        ("DISROOM_STREAM_NAME", "CHAT", "stream.name", "CHAT"),
        ("DISROOM_STREAM_RETENTION", "interest", "stream.retention", "interest"),
        ("DISROOM_LIMITS_FLOOD", "off", "limits.flood", "off"),
        ("DISROOM_LOG_FORMAT", "json", "server.log_format", "json"),
        ("DISROOM_APPLY_STREAM", "1", "apply_stream", True),
        ("DISROOM_APPLY_STREAM", "false", "apply_stream", False),
    ],
)
def test_every_key_is_a_variable(variable: str, text: str, key: str, value: object) -> None:
    """A container or a unit can set anything, secrets above all, by the environment."""
    both = {"DISROOM_NATS_URL": "nats://a", "DISROOM_REDIS_URL": "redis://r", variable: text}
    found: Any = load(environment=both)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


def test_variables_of_others_are_left_alone() -> None:
    """Only ``DISROOM_*`` is read; the name of the file itself is no key of it."""
    assert load(environment={"PORT": "1", "DISROOMX": "1", "DISROOM_CONFIG": "x"}) == Config()


def test_a_misspelt_variable_is_told_of() -> None:
    """A setting that would be ignored is not accepted in silence."""
    assert "DISROOM_PROT is no setting" in refusal(environment={"DISROOM_PROT": "1"})
    assert "DISROOM_NATS is no setting" in refusal(environment={"DISROOM_NATS": "nats://a"})


def test_a_variable_that_is_no_text_is_told_of() -> None:
    """As a password may be that was written where text is Latin-1."""
    for variable in ("DISROOM_NATS_PASSWORD", "DISROOM_PORT"):
        told = refusal(environment={variable: os.fsdecode("caf\xe9".encode("latin-1"))})
        assert told == f"{variable} is not UTF-8"


# What the file says.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("port = 1", r"unknown field `port`"),
        ("[serve]\nport = 1", r"unknown field `serve`"),
        ("[server]\nprot = 1", r"^configuration: server: .*unknown field `prot`"),
        ("[server]\nport = 'x'", r"^configuration: server\.port: "),
        ("[server]\nport = 65536", r"^configuration: server\.port: .*65535"),
        ("[server]\nport = -1", r"^configuration: server\.port: "),
        ("[server]\nlisten = 'tcp:1'", r"^configuration: server\.listen: a list was expected$"),
        ("[server]\nlisten = [1]", r"^configuration: server\.listen\[.*\]: "),
        (
            "[server]\nlog_format = 'xml'",
            r"^configuration: server\.log_format: 'text' or 'json' was",
        ),
        ("server = 1", r"^configuration: server: "),
        ("[stream]\nname = 'a b'", r"^configuration: stream\.name: "),
        ("[stream]\nsubjects = 'a.b'", r"^configuration: stream\.subjects: "),
        ("[stream]\nreplicas = 0", r"^configuration: stream\.replicas: "),
        (
            "[stream]\nretention = 'workqueue'",
            r"^configuration: stream\.retention: 'limits' or 'int",
        ),
        ("[stream]\nmax_age = '7 days'", r"^configuration: stream\.max_age: .*such as 7d"),
        ("[stream]\nmax_age = -1", r"^configuration: stream\.max_age: .*such as 7d"),
        ("[stream]\nmax_age = inf", r"^configuration: stream\.max_age: .*such as 7d"),
        ("[stream]\nmax_age = nan", r"^configuration: stream\.max_age: .*such as 7d"),
        ("[stream]\nmax_age = true", r"^configuration: stream\.max_age: .*such as 7d"),
        ("[stream]\nmax_bytes = '10 gigs'", r"^configuration: stream\.max_bytes: .*such as 512KiB"),
        ("[stream]\nmax_bytes = -1", r"^configuration: stream\.max_bytes: .*such as 512KiB"),
        ("[stream]\nmax_bytes = 1.5", r"^configuration: stream\.max_bytes: .*such as 512KiB"),
        ("[stream]\nmax_messages_per_room = 0", r"^configuration: stream\.max_messages_per_room: "),
        ("[limits]\nline_bytes = 10", r"^configuration: limits\.line_bytes: "),
        ("[limits]\nbacklog = 101", r"^configuration: limits\.backlog: "),
        ("[limits]\nflood = '20'", r"^limits\.flood: RATE/BURST"),
        ("[limits]\ntext_bytes = 5000", r"^limits\.text_bytes: cannot be greater"),
        ("[nats]\nurl = ['nats://a']", r"^--nats without --redis: give both, or neither"),
        ("[redis]\nurl = 'redis://a'", r"^--redis without --nats: give both, or neither"),
        ("[server", r"is not TOML: "),
        ("port = 1\nport = 2", r"is not TOML: "),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """An operator who makes a mistake reads, in one line, which key it is and what it should be."""
    assert re.search(reason, refusal(file=toml(tmp_path, text)))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A wrong path, a directory or a file that is no text are told apart."""
    missing = tmp_path / "none.toml"
    assert refusal(file=missing) == f"cannot read {missing}: No such file or directory"
    assert refusal(file=tmp_path) == f"cannot read {tmp_path}: Is a directory"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"motd = '\xe9'")
    assert "is not TOML" in refusal(file=latin)


def test_a_section_that_is_no_table_is_told_of(tmp_path: Path) -> None:
    """A variable for a key of something that the file has made a value is refused in words."""
    file = toml(tmp_path, "server = 1")
    assert "[server] is not a table" in refusal(file=file, environment={"DISROOM_PORT": "1"})


def test_secrets_do_not_show_in_refusals(tmp_path: Path) -> None:
    """What is refused in a section with a password does not repeat the password."""
    text = "[redis]\npassword = 'hunter2'\nurl = 5\n"
    assert "hunter2" not in refusal(file=toml(tmp_path, text))
    assert "hunter2" not in refusal(
        environment={"DISROOM_REDIS_PASSWORD": "hunter2", "DISROOM_X": ""}
    )


@pytest.mark.parametrize(
    ("text", "flood"),
    [("20/100", (20.0, 100)), ("0.5/1", (0.5, 1)), ("off", None)],
)
def test_a_flood_limit_is_a_rate_and_a_burst(text: str, flood: tuple[float, int] | None) -> None:
    """Commands a second and at once, or no limit."""
    assert parse_flood(text) == flood
    assert load(options={"limits.flood": text}).flood == flood


@pytest.mark.parametrize("text", ["", "20", "/", "20/", "/5", "0/5", "5/0", "a/b", "-1/5", "1/2/3"])
def test_what_is_no_flood_limit_is_refused(text: str) -> None:
    """A limit that would let nothing through, or that is none, is refused by its name."""
    assert refusal(options={"limits.flood": text}).startswith("limits.flood: ")


@given(
    st.text(),
    st.sampled_from(["server.port", "stream.max_age", "stream.max_bytes", "limits.flood"]),
)
def test_any_text_is_a_value_or_refused_in_one_line(text: str, key: str) -> None:
    """Whatever is given as an option, there is no traceback."""
    try:
        load(options={key: text})
    except ConfigError as error:
        assert str(error)


# What follows from the settings.


@pytest.mark.parametrize(
    ("options", "port"),
    [
        ({}, 8080),
        ({"server.port": 0}, 0),
        ({"server.port": 23}, 23),
        ({"server.listen": ["tcp:1"]}, None),
        ({"server.telnet": 23}, None),
        ({"server.telnet": 23, "server.port": 24}, 24),
        ({"server.listen": ["tcp:1"], "server.port": 24}, 24),
    ],
)
def test_the_text_port_is_opened_unless_another_listener_is_asked_for(
    options: dict[str, Any], port: int | None
) -> None:
    """Who asks for a TLS listener alone does not get an open port beside it."""
    assert load(options=options).port == port


def test_brokers_are_embedded_unless_both_are_given() -> None:
    """Real brokers take the place of the embedded ones together."""
    options = {"nats.url": ["nats://a", "nats://b"], "redis.url": "redis://r"}
    assert not load(options=options).embedded


def test_the_state_directory_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data is kept where the system keeps such data, or where it was said."""
    assert default_state_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/disroom")
    assert default_state_dir({"XDG_STATE_HOME": ""}) == Path.home() / ".local/state/disroom"
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert load().state_dir == Path("/elsewhere/disroom")
    monkeypatch.setenv("HOME", "/home/me")
    assert load(options={"server.state_dir": "~/chat"}).state_dir == Path("/home/me/chat")


def test_instances_are_called_differently_unless_told() -> None:
    """Two instances of one machine do not take each other for their own predecessor."""
    assert default_instance_name() != default_instance_name()
