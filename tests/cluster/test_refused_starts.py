"""Starts that cannot work, as an operator sees them: one line, status 1, and soon."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.processes.certificates import Certificates
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import Login, NatsServer
from tests.processes.nats_accounts import Operator
from tests.processes.ports import ReservedPort
from tests.processes.redis import RedisServer

SECONDS = 20.0
"""Promised are 15; a machine that runs tests has other things to do."""

COMPLAINT = re.compile(r"^disroom: |#critical\] Cannot start: ")
ROUTINE = re.compile(r"^\S+ \[(\S+#info|-|\w+,client)\] ")
SECRET = "Tr0ub4dor"

Launch = Callable[..., DisroomProcess]


def refusal(service: DisroomProcess, *secrets: str) -> str:
    """Wait until a launched service has given up, and return the one line that it says why."""
    code, output = service.wait_exit(SECONDS)
    assert code == 1, output
    for secret in (SECRET, *secrets):
        assert secret not in output
    lines = output.splitlines()
    complaints = [line for line in lines if COMPLAINT.search(line)]
    assert len(complaints) == 1, output
    assert all(ROUTINE.match(line) for line in lines if line not in complaints), output
    return COMPLAINT.split(complaints[0])[-1]


@pytest.fixture
def launch(tmp_path: Path, nats: NatsServer, redis: RedisServer, unique: str) -> Iterator[Launch]:
    """Launch a service on the worker's brokers, or with what is said otherwise."""
    with contextlib.ExitStack() as launched:
        names = iter(range(1, 1000))

        def new(
            *options: str,
            nats: str | Sequence[str] = nats.url,
            redis: str | None = redis.url,
            env: Mapping[str, str] | None = None,
        ) -> DisroomProcess:
            service = DisroomProcess(
                tmp_path,
                name=f"disroom{next(names)}",
                nats=[nats] if isinstance(nats, str) else nats,
                redis=redis,
                options=options,
                env={
                    "DISROOM_STREAM_NAME": unique,
                    "DISROOM_STREAM_SUBJECTS": unique,
                    "DISROOM_STREAM_MAX_BYTES": "64MiB",
                    "DISROOM_REDIS_PREFIX": unique,
                    "DISROOM_PRESENCE_SETTLE": "100ms",
                    **(env or {}),
                },
            )
            launched.callback(service.close)
            return service.launch()

        yield new


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that nobody listens on."""
    port = ReservedPort()
    yield port.number
    port.release()


def test_options_that_are_none(launch: Launch, tmp_path: Path) -> None:
    """A misspelt option or value is named, and --help is pointed to."""
    config = tmp_path / "disroom.toml"
    config.write_text("[stream]\nreplicaz = 3\n", encoding="utf-8")
    started = {
        "option --no-such recognized": launch("--no-such"),
        "stream: Object contains unknown field `replicaz`": launch(f"--config={config}"),
        "DISROOM_PROT is no setting": launch(env={"DISROOM_PROT": "80"}),
        "--nats without --redis: give both, or neither": launch(redis=None),
    }
    for words, service in started.items():
        line = refusal(service)
        for word in words.split(" recognized"):
            assert word in line
        assert line.endswith("(see: twistd disroom --help)")


def test_another_reactor(tmp_path: Path) -> None:
    """`twistd --reactor=select` is told to leave the reactor alone."""

    class OnAnotherReactor(DisroomProcess):
        @property
        def command(self) -> list[str]:
            twistd, *rest = super().command
            return [twistd, "--reactor=select", *rest]

    with OnAnotherReactor(tmp_path).launch() as service:
        assert "leave out --reactor" in refusal(service)


def test_brokers_that_are_not_there(launch: Launch, nobody: int) -> None:
    """Where nobody listens, the line has the address and the option that named it."""
    address = f"127.0.0.1:{nobody}"
    refused = f"at {address} (Connection refused): start it, or correct"
    started = {
        f"cannot reach NATS {refused} --nats": launch(nats=f"nats://{address}"),
        f"cannot reach Redis {refused} --redis": launch(redis=f"redis://:{SECRET}@{address}"),
        "cannot reach Redis at /none.sock (No such file": launch(redis="unix:///none.sock"),
        "cannot reach NATS at none.invalid:4222": launch(nats="none.invalid"),
    }
    for words, service in started.items():
        assert words in refusal(service)


def test_nats_that_does_not_answer(
    launch: Launch, silent: int, new_nats: Callable[..., NatsServer], redis: RedisServer
) -> None:
    """A black hole, or a server of another kind, is given up after 10 s, and named."""
    web = new_nats(monitoring=True).monitoring_url.removeprefix("http://")
    started = {
        f"nats://127.0.0.1:{silent}": launch(nats=f"nats://u:{SECRET}@127.0.0.1:{silent}"),
        f"nats://{web}": launch(nats=f"nats://{web}"),
        f"nats://127.0.0.1:{redis.port}": launch(nats=f"nats://127.0.0.1:{redis.port}"),
    }
    for words, service in started.items():
        assert words in refusal(service)


def test_redis_that_does_not_answer(
    launch: Launch, silent: int, new_nats: Callable[..., NatsServer]
) -> None:
    """Likewise, after 5 s, and at once where something else answers."""
    other = new_nats(monitoring=True)
    web = other.monitoring_url.removeprefix("http://")
    started = {
        f"Redis at redis://127.0.0.1:{silent}: no answer": launch(
            redis=f"redis://:{SECRET}@127.0.0.1:{silent}"
        ),
        f"Redis at redis://{web}: it does not speak": launch(redis=f"redis://{web}"),
        f"Redis at redis://127.0.0.1:{other.port}: it does not speak": launch(
            redis=f"redis://127.0.0.1:{other.port}"
        ),
    }
    for words, service in started.items():
        assert words in refusal(service)


def test_nats_that_refuses(launch: Launch, new_nats: Callable[..., NatsServer]) -> None:
    """Wrong credentials are called that, and shown nowhere; so is a server without JetStream."""
    named = new_nats(login=Login(user="u", password="right"))
    token = new_nats(login=Login(token="right"))
    plain = new_nats(jetstream=False)
    user = {"DISROOM_NATS_USER": "u"}
    started = [
        launch(nats=named.url),
        launch(nats=f"nats://u:{SECRET}@127.0.0.1:{named.port}"),
        launch(nats=named.url, env={**user, "DISROOM_NATS_PASSWORD": SECRET}),
        launch(nats=f"nats://{SECRET}@127.0.0.1:{token.port}"),
        launch(nats=token.url, env={"DISROOM_NATS_TOKEN": SECRET}),
    ]
    without = launch(nats=plain.url)
    for service in started:
        assert re.search(r"nats://127.0.0.1:\d+: the credentials were refused", refusal(service))
    assert "JetStream is not enabled on this NATS server" in refusal(without)


def test_a_creds_file_that_does_not_do(
    launch: Launch, new_nats: Callable[..., NatsServer], tmp_path: Path
) -> None:
    """One that is missing, is none, is another's or has expired is named, and what is wrong."""
    operator = Operator()
    server = new_nats(extra_config=operator.config())
    contents = {
        "none": "SUA",
        "other": Operator().credentials(),
        "expired": operator.credentials(expires=1_700_000_000),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    started = {
        name: launch(nats=server.url, env={"DISROOM_NATS_CREDENTIALS": str(tmp_path / name)})
        for name in (*contents, "missing")
    }
    lines = {name: refusal(service) for name, service in started.items()}
    path, url = tmp_path, server.url
    assert lines["missing"] == f"cannot read {path}/missing: No such file or directory"
    assert f"NATS: {path}/none is no .creds file: a JWT and a seed are missing" in lines["none"]
    refused = f"NATS: {url}: the credentials in {path}"
    assert f"{refused}/other were refused (authorization violation)" in lines["other"]
    assert f"{refused}/expired were refused: they expired at 2023-11-14" in lines["expired"]


def test_redis_that_refuses(
    launch: Launch, new_redis: Callable[..., RedisServer], redis: RedisServer
) -> None:
    """Wrong passwords are called that, and shown nowhere."""
    closed = new_redis(password="right")
    password = {"DISROOM_REDIS_PASSWORD": SECRET}
    started = {
        "it asks for a password": launch(redis=closed.url),
        "wrong user name or password": launch(redis=closed.url, env=password),
        "wrong user name or password ": launch(redis=f"redis://:{SECRET}@127.0.0.1:{closed.port}"),
        "it has no password; configure none": launch(redis=redis.url, env=password),
        "it has no database of that number": launch(redis=f"{redis.url}/999"),
    }
    for words, service in started.items():
        assert words.strip() in refusal(service)


@pytest.fixture
def other_authority(tmp_path: Path) -> str:
    """The certificate of an authority that has signed nobody's."""
    directory = tmp_path / "other"
    directory.mkdir()
    return str(Certificates(directory).authority)


def test_a_nats_that_cannot_be_trusted(
    launch: Launch,
    certificates: Certificates,
    other_authority: str,
    new_nats: Callable[..., NatsServer],
    nats: NatsServer,
    tmp_path: Path,
) -> None:
    """No wrong authority or host, and no server without TLS, makes the service go on without."""
    safe, mutual = new_nats(tls=certificates), new_nats(tls=certificates, mutual=True)
    none = str(certificates.key)
    wrong = {"DISROOM_NATS_CA": other_authority}
    right = {"DISROOM_NATS_CA": str(certificates.authority)}
    elsewhere = Certificates(tmp_path / "elsewhere", hosts=("nats.example.org",))
    there = {"DISROOM_NATS_CA": str(elsewhere.authority)}
    started = {
        f"TLS: cannot use {none}": launch(env={"DISROOM_NATS_CA": none}),
        "certificate is not trusted": launch(nats=safe.url, env=wrong),
        "certificate is not trusted: ": launch(nats=safe.url),
        "TLS: the server does not offer it": launch(nats=nats.url.replace("nats:", "tls:")),
        "not trusted: IP address mismatch": launch(nats=new_nats(tls=elsewhere).url, env=there),
        "TLS: the server wants a certificate: give cert": launch(nats=mutual.url, env=right),
    }
    for words, service in started.items():
        assert words in refusal(service)


@pytest.mark.needs("redis-server")
def test_a_redis_that_cannot_be_trusted(
    launch: Launch,
    certificates: Certificates,
    other_authority: str,
    new_redis: Callable[..., RedisServer],
    redis: RedisServer,
) -> None:
    """The same for Redis."""
    safe = new_redis(kind="redis", tls=certificates)
    none = str(certificates.key)
    wrong = {"DISROOM_REDIS_CA": other_authority}
    plain = redis.url.replace("redis:", "rediss:")
    started = {
        f"Redis: TLS: cannot use {none}": launch(redis=safe.url, env={"DISROOM_REDIS_CA": none}),
        "certificate verify failed": launch(redis=safe.url, env=wrong),
        "certificate verify failed ": launch(redis=safe.url),
        f"Redis at {plain}: ": launch(redis=plain),
        "redis.ca is for TLS": launch(env=wrong),
    }
    for words, service in started.items():
        assert words.strip() in refusal(service)


class Confined(DisroomProcess):
    """A service with a low limit on open files."""

    @property
    def command(self) -> list[str]:
        """The command line."""
        return ["sh", "-c", 'ulimit -n 65 && exec "$@"', "sh", *super().command]


@pytest.mark.parametrize("options", [(), ("--workers=2",)])
def test_a_limit_on_open_files_that_leaves_no_connections(
    options: Sequence[str], tmp_path: Path
) -> None:
    """Everybody would be told that the server is full, and nobody why."""
    with contextlib.closing(Confined(tmp_path, options=options)) as service:
        line = refusal(service.launch())
    assert line.startswith("the limit on open files is 65, of which 64 are kept")
    assert "raise it (ulimit -n" in line


@pytest.mark.parametrize("option", ["--port", "--telnet", "--listen", "--admin", "--web"])
def test_a_taken_port(option: str, launch: Launch) -> None:
    """The line says which port it is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        value = f"tcp:{port}:interface=127.0.0.1" if option == "--listen" else str(port)
        line = refusal(launch(f"{option}={value}", "--interface=127.0.0.1"))
    assert "cannot listen on" in line and str(port) in line and "Address already in use" in line
    assert option == "--listen" or f"; choose another {option}" in line


def test_places_that_cannot_be_listened_on(launch: Launch) -> None:
    """An endpoint that is none, or cannot be had, is named."""
    started = {
        "'web:80' is no Twisted server endpoint": launch("--listen=web:80"),
        "cannot listen on tcp:99999": launch("--listen=tcp:99999"),
        "cannot listen on unix:/none/a.sock: No such file": launch("--listen=unix:/none/a.sock"),
        "'tcp:http' is no Twisted server endpoint": launch("--admin=tcp:http"),
        "cannot listen on unix:/none/b.sock: No such file": launch("--admin=unix:/none/b.sock"),
        "--web: PORT, HOST:PORT or an endpoint was expected": launch("--web=chat.example.org"),
        "server.web_origins: an origin such as https": launch(
            "--web=0", env={"DISROOM_WEB_ORIGINS": "chat.example.org"}
        ),
        "server.web_proxies: 'nginx' does not appear to be an": launch(
            "--web=0", env={"DISROOM_WEB_PROXIES": "nginx"}
        ),
    }
    for words, service in started.items():
        assert words in refusal(service)


def test_files_that_are_missing(launch: Launch, tmp_path: Path) -> None:
    """A file or directory that is configured and cannot be used is named."""
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    embedded: dict[str, object] = {"nats": [], "redis": None}
    started = {
        "cannot read /none.txt: No such file": launch("--motd=/none.txt"),
        "cannot read /none.key: No such": launch(env={"DISROOM_NATS_TOKEN_FILE": "/none.key"}),
        "cannot read /none.pwd: No such": launch(env={"DISROOM_REDIS_PASSWORD_FILE": "/none.pwd"}),
        f"state directory {blocked}/in cannot be used": launch(
            f"--state-dir={blocked}/in", **embedded
        ),
        "state directory /proc/disroom cannot be used": launch(
            "--state-dir=/proc/disroom", **embedded
        ),
    }
    for words, service in started.items():
        assert words in refusal(service)


def test_a_stream_that_differs(launch: Launch, nats: NatsServer, unique: str) -> None:
    """Nobody's stream is changed by accident: both values are shown; --apply-stream changes it."""
    month = {"DISROOM_STREAM_MAX_AGE": "30d", "DISROOM_STREAM_MAX_MESSAGES_PER_ROOM": "50"}

    def limits() -> tuple[int, int]:
        with nats.connect() as raw:
            config = raw.stream_info(unique)["config"]
        return config["max_age"] // 10**9, config["max_msgs_per_subject"]

    with launch() as first:
        first.wait_ready()
        line = refusal(launch(env=month))
        assert "max_age is 604800 s, configured 2.592e+06 s" in line
        assert "max_msgs_per_subject is 10000, configured 50" in line
        assert "--apply-stream" in line
        assert limits() == (7 * 86400, 10000)
        with launch("--apply-stream", env=month) as changing:
            changing.wait_ready()
        assert limits() == (30 * 86400, 50)
    with launch(env=month) as after:
        after.wait_ready()


def test_no_room_for_the_stream(launch: Launch, new_nats: Callable[..., NatsServer]) -> None:
    """Where JetStream has less storage than the stream is to have, the setting is named."""
    small = new_nats(extra_config="jetstream { max_file_store: 32MiB }")
    line = refusal(launch(nats=small.url))
    assert "NATS has no storage for the stream" in line and "stream.max_bytes" in line
