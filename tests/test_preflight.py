"""What is refused before anything is started, and before twistd becomes a daemon."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from disroom.config import Config, ConfigError, Nats, Redis, load
from disroom.preflight import check
from disroom.tap import Options, makeService

SECRET = "tr0ub4dor"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment of the test run configures is not for these tests."""
    for name in list(os.environ):
        if name.startswith("DISROOM_"):
            monkeypatch.delenv(name)


def refusal(tmp_path: Path, *options: str) -> str:
    """Return the line with which a start is refused; the exit status of these words is 1."""
    parsed = Options()
    with pytest.raises(SystemExit) as refused:
        parsed.parseOptions(["--port=0", f"--state-dir={tmp_path}", *options])
        makeService(parsed)
    line = refused.value.code
    assert isinstance(line, str) and line.startswith("disroom: ") and "\n" not in line
    return line.removeprefix("disroom: ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-such"], "option --no-such not recognized"),
        (["word"], "Wrong number of arguments"),
        (["--port"], "option --port requires argument"),
        (["--port=http"], "server.port"),
        (["--port=-1"], "server.port"),
        (["--port=65536"], "server.port"),
        (["--telnet=telnet"], "server.telnet"),
        (["--interface=none.invalid"], "choose another --port or --interface"),
        (["--interface=203.0.113.1", "--port=1"], "choose another --port or --interface"),
        (["--flood=fast"], "RATE/BURST, such as 20/100"),
        (["--flood=0/100"], "RATE/BURST"),
        (["--flood=20/0"], "RATE/BURST"),
        (["--flood=20"], "RATE/BURST"),
        (["--log-format=xml"], "server.log_format: 'text' or 'json' was expected"),
        (["--motd=/none.txt"], "cannot read /none.txt: No such file or directory"),
        (["--config=/none.toml"], "cannot read /none.toml: No such file or directory"),
        (["--instance-name=a\x1b[31m"], "--instance-name: it has characters"),
        (["--admin=x"], "--admin: PORT, HOST:PORT or an endpoint was expected, not 'x'"),
        (["--admin=65536"], "--admin: PORT"),
        (["--admin=::1"], "--admin: PORT"),
        (["--admin=é..b:80"], "port 80: not the name of a host; choose another --admin"),
        (["--admin=tcp:http"], "'tcp:http' is no Twisted server endpoint"),
        (["--listen="], "'' is no Twisted server endpoint"),
        (["--listen=8080"], "'8080' is no Twisted server endpoint"),
        (["--listen=web:80"], "'web:80' is no Twisted server endpoint: Unknown endpoint type"),
        (["--listen=tcp:0:colour=red"], "is no Twisted server endpoint"),
        (["--listen=ssl:0:privateKey=/none.pem"], "No such file or directory: '/none.pem'"),
        (["--listen=tls:8443"], "with two files it is ssl:PORT:privateKey=FILE:certKey=FILE"),
        (["--listen=haproxy:tls:8443"], "names no directory, as tls:DIRECTORY:port=PORT does"),
        (["--nats=127.0.0.1"], "--nats without --redis: give both, or neither"),
        (["--redis=redis://127.0.0.1"], "--redis without --nats: give both, or neither"),
        (["--nats=http://a", "--redis=redis://a"], "--nats: not a nats:// or tls:// URL: http://a"),
        (
            ["--nats=nats://a..b", "--redis=redis://a"],
            "cannot reach NATS at a..b:4222 (not the name of a host): start it, or correct --nats",
        ),
        (
            ["--nats=nats://a:x", "--redis=redis://a"],
            "--nats: nats://a:x: the port must be a number up to 65535",
        ),
        (
            ["--nats=u:secret@a:99999", "--redis=redis://a"],
            "--nats: nats://...@a:99999: the port must be a number up to 65535",
        ),
        (
            ["--nats=nats://a?tls=1", "--redis=redis://a"],
            "--nats: nats://a?tls=1: there is nothing to say after the host and port",
        ),
        (
            ["--nats=nats://a", "--redis=sentinel://a"],
            "--redis: sentinel://a: the master's name is",
        ),
        (
            ["--nats=nats://a", "--redis=rediss+sentinel://a/m"],
            "TLS is not supported with Sentinel",
        ),
        (["--state-dir=/proc/disroom"], "give one that can be written to with --state-dir"),
    ],
)
def test_options(options: list[str], words: str, tmp_path: Path) -> None:
    """Whatever is wrong with an option is said in one line that names it."""
    assert words in refusal(tmp_path, *options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 80", "unknown field `port`"),
        ("[server]\ntelnet = 'telnet'", "server.telnet"),
        ("[stream]\nmax_age = 'soon'", "stream.max_age: a duration such as 7d"),
        ("[stream]\nmax_bytes = '1GB'", "stream.max_bytes: a size such as"),
        ("[stream]\nreplicas = 6", "stream.replicas"),
        ("[stream]\nretention = 'all'", "stream.retention: 'limits' or 'interest' was expected"),
        (
            "[stream]\nname = 'a.b'",
            "stream.name: a name of 1 to 32 letters A to Z and a to z, digits, _ and -",
        ),
        ("[stream]\nsubjects = 5", "stream.subjects: a text was expected"),
        ("[limits]\nbacklog = 1000", "limits.backlog"),
        ("[limits]\ntext_bytes = 5000", "limits.text_bytes: cannot be greater"),
        ("[presence]\nlease = '500ms'", "presence.lease: at least 2s"),
        ("[presence]\nsettle = 0", "presence.settle: at least 0.1s"),
        ("[server]\ntimezone = 'Mars/Base'", "server.timezone: there is no 'Mars/Base'"),
        ("[server]\ntimezone = '../zone'", "server.timezone: there is no '../zone'"),
        ("server = 1", "server"),
        ("[server", "is not TOML"),
        ("caf\xe9".encode("latin-1"), "is not TOML"),
        ("[nats]\nserver = '/none'", "the configured nats-server /none is not an executable"),
    ],
)
def test_files(text: str | bytes, words: str, tmp_path: Path) -> None:
    """So it is for the keys of a file, and for what is none."""
    file = tmp_path / "disroom.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in refusal(tmp_path, f"--config={file}")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DISROOM_PROT", "8080", "DISROOM_PROT is no setting; see conf/disroom.toml"),
        ("DISROOM_TELNET", "x", "server.telnet"),
        ("DISROOM_STREAM_REPLICAS", "three", "stream.replicas"),
        ("DISROOM_APPLY_STREAM", "perhaps", "apply_stream"),
        ("DISROOM_CONFIG", "/none.toml", "cannot read /none.toml"),
    ],
)
def test_variables(
    name: str, value: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And for variables."""
    monkeypatch.setenv(name, value)
    assert words in refusal(tmp_path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://u:{SECRET}@host", "http://...@host"),
        (f"u:{SECRET}@host:6379", "...@host:6379"),
        (f"redis//:{SECRET}@host", "...@host"),
        (f"redis://:{SECRET}/x@host", "redis://...@host"),
        (f"redis://{SECRET}?x@host", "redis://...@host"),
        (f"redis://{SECRET}#x@host", "redis://...@host"),
        (f"redis://:{SECRET}[x@host", "redis://...@host"),
    ],
)
def test_secrets_in_urls(url: str, shown: str) -> None:
    """A URL that is none is shown, but for what may be a password; where to put that is said."""
    with pytest.raises(ConfigError) as refused:
        check(Config(nats=Nats(url=("nats://127.0.0.1",)), redis=Redis(url=url)))
    assert f": {shown} (if it is for the password" in str(refused.value)
    assert "DISROOM_REDIS_PASSWORD" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_password_in_a_list_of_urls() -> None:
    """Of several NATS servers the one that cannot be right is shown, likewise."""
    urls = ("nats://a", f"nats://u:{SECRET}@b:x", "nats://c")
    with pytest.raises(ConfigError) as refused:
        check(Config(nats=Nats(url=urls), redis=Redis(url="redis://127.0.0.1")))
    assert "nats://...@b:x" in str(refused.value) and SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://u:pw@host:x", "redis://...@host:x: the port must be a number up to 65535"),
        ("rediss://host:99999", "rediss://host:99999: the port must be a number up to 65535"),
        ("redis://host?x=1&db=2", "redis://host: unknown option x"),
        ("unix:///run/redis.sock?db=2&y", "unix:///run/redis.sock: unknown option y"),
        ("redis://host/tea", "redis://host/tea: the database must be a number"),
        ("unix:///run/redis#1.sock", "unix:///run/redis#1.sock: a # is written %23"),
    ],
)
def test_parts_of_urls(url: str, words: str) -> None:
    """What is wrong within a URL is said before anybody looks whether there is a Redis."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        nats = Nats(url=(f"127.0.0.1:{one.getsockname()[1]}",))
        with pytest.raises(ConfigError) as refused:
            check(Config(nats=nats, redis=Redis(url=url)))
    assert str(refused.value) == f"--redis: {words}"


def test_a_file_of_each_kind() -> None:
    """Every file that is configured is looked for."""
    for section, keys in (
        ("nats", ("credentials", "nkey", "ca", "cert", "key")),
        ("redis", ("ca", "cert", "key")),
    ):
        for key in keys:
            config = load(options={f"{section}.{key}": "/none.pem"})
            with pytest.raises(ConfigError, match=r"^cannot read /none\.pem: No such file"):
                check(config)


def test_one_of_several_servers_is_enough() -> None:
    """A node of the cluster that is down does not keep an instance from starting."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket() as other:
        other.bind(("127.0.0.1", 0))  # and does not listen
        up, down = (f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other))
        redis = Redis(url=f"redis://{up}")
        check(Config(nats=Nats(url=(down, up)), redis=redis))
        with pytest.raises(ConfigError) as refused:
            check(Config(nats=Nats(url=(down, f"tls://u:{SECRET}@{down}")), redis=redis))
    reason = f"{down} (Connection refused)"
    assert str(refused.value) == (
        f"cannot reach NATS at {reason}, {reason}: start it, or correct --nats"
    )


def test_sentinels() -> None:
    """Of Sentinels one is enough as well; and what is wrong is said without the password."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket() as other:
        other.bind(("127.0.0.1", 0))  # and does not listen
        up, down = (f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other))
        nats = Nats(url=(up,))
        check(Config(nats=nats, redis=Redis(url=f"sentinel://:{SECRET}@{down},{up}/mymaster")))
        with pytest.raises(ConfigError) as refused:
            check(Config(nats=nats, redis=Redis(url=f"sentinel://{down}/mymaster")))
    assert str(refused.value) == (
        f"cannot reach Redis at {down} (Connection refused): start it, or correct --redis"
    )
    for url in (
        f"sentinel://:{SECRET}@a",
        f"sentinel://:{SECRET}/x@a/m",
        f"sentinel://{SECRET}@a/m",
    ):
        with pytest.raises(ConfigError) as refused:
            check(Config(nats=nats, redis=Redis(url=url)))
        assert SECRET not in str(refused.value)


def test_a_taken_port() -> None:
    """The port that somebody else has is named, with the option to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for key, value, choice in (
            ("port", port, "--port or --interface"),
            ("telnet", port, "--telnet or --interface"),
            ("web", str(port), "--web or --interface"),
            ("web", f"localhost:{port}", "--web"),
            ("admin", str(port), "--admin"),
            ("admin", f"localhost:{port}", "--admin"),
        ):
            options = {"server.interface": "127.0.0.1", "server.port": 0, f"server.{key}": value}
            with pytest.raises(ConfigError) as refused:
                check(load(options=options))
            words = f"port {port}: Address already in use; choose another {choice}"
            assert str(refused.value).endswith(words)
