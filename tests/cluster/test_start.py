"""Starts that work: as a daemon, under systemd, with credentials and TLS, and what they log."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.chat import Chat, user
from tests.eventually import eventually_blocking
from tests.processes.certificates import Certificates
from tests.processes.client import LineClient
from tests.processes.disroom import LISTENING, DisroomProcess, parse_address
from tests.processes.nats import Login, NatsServer
from tests.processes.nats_accounts import Operator
from tests.processes.nats_proxy import NatsProxy
from tests.processes.redis import RedisServer
from tests.processes.redis_proxy import CountingProxy
from tests.processes.text_client import Clients

SECRET = "Tr0ub4dor&3"
BODY = "unmistakable-7f3a"


class Daemon:
    """`twistd disroom` in a directory, with its own pid file and log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid_file = directory / "twistd.pid"

    def start(self, *options: str, twistd: tuple[str, ...] = ()) -> tuple[int, str]:
        """Run the command to its end; its exit status, and what it printed."""
        command = [f"{sysconfig.get_path('scripts')}/twistd", *twistd, "disroom"]
        state = f"--state-dir={self.directory / 'state'}"
        done = subprocess.run(
            [*command, "--port=0", state, *options],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=15,
        )
        return done.returncode, done.stdout

    @property
    def pid(self) -> int:
        """The process, as its pid file has it."""
        return int(self.pid_file.read_text(encoding="ascii"))

    def stop(self) -> None:
        """Send SIGTERM, wait until it is gone, and make sure of it."""
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        try:
            eventually_blocking(lambda: not self.pid_file.exists(), timeout=5)
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            raise


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that is not started; afterwards it is not running."""
    daemon = Daemon(tmp_path)
    yield daemon
    if daemon.pid_file.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(daemon.pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_daemon(form: str, workers: int, daemon: Daemon, clients: Clients) -> None:
    """`twistd disroom` returns at once; people chat; SIGTERM ends it and removes the pid file."""
    log = daemon.directory / "twistd.log"
    assert daemon.start(f"--log-format={form}", f"--workers={workers}") == (0, "")
    [where] = eventually_blocking(lambda: LISTENING.findall(log.read_text(encoding="utf-8")))
    ann = LineClient(clients, parse_address(where))
    ann.send_line("nick ann\njoin tea\nsend hello")
    ann.expect("#tea ann: hello")
    os.kill(daemon.pid, signal.SIGUSR1)  # rotates the log, as with any twistd
    eventually_blocking((daemon.directory / "twistd.log.1").exists)
    daemon.stop()
    ann.expect("Goodbye!")
    assert "Server Shut Down" in log.read_text(encoding="utf-8")


def test_a_daemon_that_cannot_work(daemon: Daemon) -> None:
    """What can be seen beforehand is said where the command was typed, with status 1."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        for options, words in (
            (["--no-such"], "option --no-such not recognized"),
            (["--state-dir=/proc/disroom"], "the state directory /proc/disroom cannot be used"),
            ([f"--port={port}"], "Address already in use"),
            (["--motd=/none"], "cannot read /none"),
            (["--nats=127.0.0.1:9", "--redis=redis://127.0.0.1:9"], "cannot reach NATS"),
        ):
            code, output = daemon.start(*options)
            assert code == 1
            assert output.startswith("disroom: ") and words in output and output.count("\n") == 1
    code, output = daemon.start(twistd=("--logfile=/none/twistd.log",))
    assert (code, output.count("\n")) == (1, 1) and "cannot write --logfile" in output
    assert not daemon.pid_file.exists()


class Logging(DisroomProcess):
    """An instance whose log twistd was told to put into a file."""

    @property
    def command(self) -> list[str]:
        """The command line."""
        twistd, *rest = super().command
        return [twistd, f"--logfile={self.directory / 'own.log'}", *rest]

    def output(self) -> str:
        """The file; nothing else may be printed."""
        assert super().output() == ""
        file = self.directory / "own.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.mark.parametrize(
    ("form", "kind"), [("text", Logging), ("json", DisroomProcess)], ids=["text", "json"]
)
def test_no_log_has_what_people_write(
    form: str, kind: type[DisroomProcess], chat: Chat, clients: Clients, tmp_path: Path
) -> None:
    """Neither form of the log has a word of anybody's, not even of what went wrong."""
    with (
        NatsProxy(port_of(chat.nats_url)) as nats,
        CountingProxy(port_of(chat.redis_url)) as redis,
    ):
        options = [f"--log-format={form}"]
        arguments: dict[str, Any] = chat.arguments(nats=[nats.url], redis=redis.url)
        with kind(tmp_path, options=options, **arguments) as server:
            ann, ben = user(clients, server, "ann", "tea"), user(clients, server, "ben", "tea")
            for line in (
                f"topic {BODY}",
                f"msg ben {BODY}",
                f"msg nobody {BODY}",
                f"away {BODY}",
                f"{BODY} is no verb",
                f"send {BODY}{'x' * 4050}",
                f"send {BODY}{'x' * 5000}",
                f"send {BODY} one",
            ):
                ann.send_line(line)
            ann.send(BODY.encode() + b"\xff\r\n")
            ann.expect(r"\(bad-encoding\)")
            ben.expect(f": {BODY} one")
            for proxy in (redis, nats):
                proxy.refuse()
                proxy.cut()
            for line in (f"msg ben {BODY}", f"away {BODY}", f"send {BODY} two", f"nick {BODY}"):
                ann.send_line(line)
            ann.expect("-- your message is delayed")
            for proxy in (redis, nats):
                proxy.accept()
            ben.expect(f": {BODY} two")
    output = server.output()
    assert "Listening on" in output and "Server Shut Down" in output
    assert BODY not in output
    if form == "json":
        events = [json.loads(line) for line in output.splitlines()]
        assert all({"at", "level", "from", "text"} <= event.keys() for event in events)


def port_of(url: str) -> tuple[str, int]:
    """Where a broker listens."""
    return "127.0.0.1", int(url.rpartition(":")[2])


@pytest.mark.parametrize("workers", [1, 2])
def test_systemd_is_told(workers: int, chat: Chat, clients: Clients, tmp_path: Path) -> None:
    """READY=1 comes when people can connect, and STOPPING=1 when they no longer should."""
    directory = Path(tempfile.mkdtemp(prefix="notify-"))  # the path of a socket must be short
    path = directory / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(15)
        arguments: dict[str, Any] = chat.arguments(
            env={"NOTIFY_SOCKET": str(path), "DISROOM_WORKERS": str(workers)}
        )
        with DisroomProcess(tmp_path, **arguments).launch() as server:
            assert told.recv(100) == b"READY=1"
            LineClient(clients, server.address).expect("Welcome")
            server.terminate()
            assert told.recv(100) == b"STOPPING=1"
            server.wait_exit(5)
    shutil.rmtree(directory)


@pytest.mark.parametrize("source", ["file", "environment"])
def test_nats_with_tls_and_a_password(
    source: str,
    chat: Chat,
    certificates: Certificates,
    new_nats: Callable[..., NatsServer],
    clients: Clients,
    tmp_path: Path,
) -> None:
    """Credentials come from a file or the environment; neither `ps` nor the log has them."""
    login = Login(user="disroom", password=SECRET)
    chat.nats_url = new_nats(tls=certificates, login=login).url
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    given = {"file": {"PASSWORD_FILE": str(file)}, "environment": {"PASSWORD": SECRET}}[source]
    settings = {"USER": "disroom", "CA": str(certificates.authority), **given}
    server = chat.instance(env={f"DISROOM_NATS_{key}": value for key, value in settings.items()})
    assert_works_in_secret(server, clients)


def test_nats_with_a_creds_file(
    chat: Chat, new_nats: Callable[..., NatsServer], clients: Clients, tmp_path: Path
) -> None:
    """The same for a user of an account with JetStream, known by a JWT and the seed of its key."""
    operator = Operator()
    chat.nats_url = new_nats(extra_config=operator.config()).url
    file = tmp_path / "user.creds"
    file.write_text(operator.credentials(), encoding="utf-8")
    server = chat.instance(env={"DISROOM_NATS_CREDENTIALS": str(file)})
    assert_works_in_secret(server, clients)
    seed = next(line for line in file.read_text().splitlines() if line.startswith("SU"))
    assert seed not in server.output()


@pytest.mark.needs("redis-server")
def test_certificates_on_both_sides(
    chat: Chat,
    certificates: Certificates,
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    clients: Clients,
) -> None:
    """NATS and Redis that want a certificate of ours get it."""
    chat.nats_url = new_nats(tls=certificates, mutual=True).url
    chat.redis_url = new_redis(kind="redis", tls=certificates, mutual=True).url
    files = {
        "CA": certificates.authority,
        "CERT": certificates.client_certificate,
        "KEY": certificates.client_key,
    }
    env = {
        f"DISROOM_{broker}_{key}": str(file)
        for broker in ("NATS", "REDIS")
        for key, file in files.items()
    }
    assert_works_in_secret(chat.instance(env=env), clients)


def test_passwords_that_change(
    chat: Chat,
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    clients: Clients,
    tmp_path: Path,
) -> None:
    """Who replaces a password, there and in its file, needs no restart, and loses nobody."""
    nats, redis = new_nats(login=Login(user="disroom", password="old")), new_redis(password="old")
    chat.nats_url, chat.redis_url = nats.url, redis.url
    file = tmp_path / "password"
    file.write_text("old\n", encoding="utf-8")
    env = {
        "DISROOM_NATS_USER": "disroom",
        "DISROOM_NATS_PASSWORD_FILE": str(file),
        "DISROOM_REDIS_PASSWORD_FILE": str(file),
    }
    server = chat.instance(env=env)
    ann = user(clients, server, "ann", "tea")
    for broker in (nats, redis):
        broker.stop()
    nats.change_login(Login(user="disroom", password=SECRET))
    redis.change_password(SECRET)
    nats.start()
    redis.start()
    refusals = ("the credentials were refused", "wrong user name or password")
    eventually_blocking(lambda: all(words in server.output() for words in refusals))
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    eventually_blocking(
        lambda: (
            server.output().count("Connected to NATS") == 2
            and "connection for presence is back" in server.output()
        )
    )
    ann.send_line("send still here")
    ann.expect("ann: still here")
    user(clients, server, "bob", "tea")
    assert SECRET not in server.output()


def test_nats_with_a_token_and_redis_with_a_password(
    chat: Chat,
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    clients: Clients,
    tmp_path: Path,
) -> None:
    """The same for a token, and for Redis."""
    chat.nats_url = new_nats(login=Login(token=SECRET)).url
    chat.redis_url = new_redis(password=SECRET).url
    file = tmp_path / "password"
    file.write_text(SECRET, encoding="utf-8")
    server = chat.instance(
        env={"DISROOM_NATS_TOKEN": SECRET, "DISROOM_REDIS_PASSWORD_FILE": str(file)}
    )
    assert_works_in_secret(server, clients)


@pytest.mark.needs("redis-server")
def test_redis_with_tls_and_a_password(
    chat: Chat,
    certificates: Certificates,
    new_redis: Callable[..., RedisServer],
    clients: Clients,
) -> None:
    """The same for Redis with TLS, whose certificate is verified."""
    chat.redis_url = new_redis(kind="redis", tls=certificates, password=SECRET).url
    settings = {"CA": str(certificates.authority), "PASSWORD": SECRET}
    server = chat.instance(env={f"DISROOM_REDIS_{key}": value for key, value in settings.items()})
    assert_works_in_secret(server, clients)


def test_passwords_in_urls(
    chat: Chat,
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    clients: Clients,
) -> None:
    """They work, and the log has none of them, not even when the brokers go and come back."""
    nats = new_nats(login=Login(user="disroom", password=SECRET))
    redis = new_redis(password=SECRET)
    escaped = SECRET.replace("&", "%26")
    server = chat.instance(
        nats=[nats.url.replace("://", f"://disroom:{SECRET}@")],
        redis=redis.url.replace("://", f"://:{escaped}@"),
    )
    ann = user(clients, server, "ann", "tea")
    nats.restart()
    redis.restart()
    ann.send_line("send hello")
    ann.expect("ann: hello")
    eventually_blocking(lambda: "connection for presence is back" in server.output())
    assert SECRET not in server.output() and escaped not in server.output()


def assert_works_in_secret(server: DisroomProcess, clients: Clients) -> None:
    """Chat, and look for the secret."""
    ann = user(clients, server, "ann", "tea")
    ann.send_line("send hello")
    ann.expect("ann: hello")
    command_line = Path(f"/proc/{server.pid}/cmdline")
    if command_line.exists():
        assert SECRET.encode() not in command_line.read_bytes()
    assert SECRET not in server.output()


def test_a_name_that_another_has(chat: Chat, clients: Clients) -> None:
    """Who starts under a running instance's name releases its users at once; it comes back."""
    earlier = chat.instance(instance_name="same")
    other = chat.instance()
    ann, wat = user(clients, earlier, "ann", "tea"), user(clients, other, "wat", "tea")
    ann.expect("--> wat joined")
    started = time.monotonic()
    chat.instance(instance_name="same")
    wat.expect(r"<-- ann left \(server lost\)")
    assert time.monotonic() - started < 5
    wat.expect("--> ann joined")
    ann.send_line("send still here")
    wat.expect("ann: still here")
    assert "Another server runs as same" in earlier.output()


def test_a_name_that_a_dead_one_had(chat: Chat, clients: Clients) -> None:
    """Users of a killed instance are gone when it is back, instead of when its lease ends."""
    killed = chat.instance(instance_name="same")
    other = chat.instance()
    ann, wat = user(clients, killed, "ann", "tea"), user(clients, other, "wat", "tea")
    ann.expect("--> wat joined")
    killed.kill()
    started = time.monotonic()
    killed.start()
    wat.expect(r"<-- ann left \(server lost\)", timeout=5)
    ann = user(clients, killed, "ann", "tea")
    assert time.monotonic() - started < 8
