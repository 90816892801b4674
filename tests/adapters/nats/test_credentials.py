"""What is shown to NATS and what NATS must show: each way, and in words where it does not work."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, capturedLogs, formatEvent

from disroom.adapters.nats.credentials import Credentials
from disroom.adapters.nats.settings import NatsSettings
from tests.adapters.nats.connections import Connections, answers
from tests.contract.witness import promise
from tests.eventually import eventually, eventually_blocking
from tests.processes.certificates import Certificates
from tests.processes.nats import Login, NatsServer
from tests.processes.nats_accounts import Operator, user_key
from tests.processes.nats_proxy import NatsProxy
from tests.processes.ports import ReservedPort

NewNats = Callable[..., NatsServer]
NewPair = Callable[..., tuple[NatsServer, NatsServer]]


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def connections() -> AsyncIterator[Connections]:
    """Connections that are stopped after the test."""
    made = Connections()
    yield made
    await made.stop()


@pytest.fixture
def new_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewPair]:
    """Start two servers that tell clients of each other, of the second by the host `told`.

    The certificates in `tls` are the first's and the second's; other arguments as NatsServer's.
    """
    with ExitStack() as started:

        def new(
            *,
            told: str = "127.0.0.1",
            tls: Sequence[Certificates | None] = (None, None),
            **each: Any,
        ) -> tuple[NatsServer, NatsServer]:
            routes = [ReservedPort(), ReservedPort()]
            listed = ", ".join(f'"nats://127.0.0.1:{port.number}"' for port in routes)
            servers = []
            for name, port, certificates in zip("ab", routes, tls, strict=True):
                started.callback(port.release)
                server = NatsServer(
                    tmp_path_factory.mktemp("nats"),
                    name=name,
                    jetstream=False,
                    tls=certificates,
                    extra_config=f'cluster {{ name: "pair", listen: "127.0.0.1:{port.number}", '
                    f"routes: [{listed}] }}\n",
                    **each,
                )
                servers.append(server)
            first, second = servers
            second.extra_config += f'client_advertise: "{told}:{second.port}"\n'
            for server in servers:
                started.enter_context(server)
            eventually_blocking(lambda: f"{told}:{second.port}" in told_by(first), 10.0)
            return first, second

        yield new


def told_by(server: NatsServer) -> list[str]:
    """The addresses of which a server tells its clients."""
    with server.connect() as client:
        return list(client.info.get("connect_urls", ()))


async def logged(events: Sequence[LogEvent], *expected: str) -> None:
    """Wait until these words have been logged, in this order."""

    def texts() -> list[str]:
        return [formatEvent(event) for event in events]

    def in_order() -> bool:
        left = iter(texts())
        return all(any(words in text for text in left) for words in expected)

    await eventually(in_order, 10.0, lambda: f"{texts()}")


# A user with a password, or a token.


@pytest.mark.parametrize(
    ("login", "shown"),
    [
        (Login(user="chat", password="right"), {}),
        (Login(user="chat", password="right"), {"user": "chat", "password": "secret"}),
        (Login(token="right"), {"token": "secret"}),
    ],
)
@promise
async def test_wrong_credentials_are_said_to_be_wrong(
    connections: Connections, new_nats: NewNats, login: Login, shown: dict[str, str]
) -> None:
    """The operator reads at once that the server is there and refuses the credentials."""
    server = new_nats(login=login)
    began = time.monotonic()
    text = await connections.refused(server.url, **shown)
    assert text.endswith("the credentials were refused (authorization violation)")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("login", "shown", "prefix"),
    [
        (Login(user="chat", password="se:cret"), {"user": "chat", "password": "se:cret"}, ""),
        (Login(token="secret"), {"token": "secret"}, ""),
        (Login(token="secret"), {}, "secret@"),
        (Login(user="chat", password="secret"), {}, "chat:secret@"),
        (Login(user="chat", password="secret/@"), {}, "chat:secret%2F%40@"),
        (Login(token="secret?"), {}, "secret%3F@"),
    ],
)
@promise
async def test_right_credentials_are_taken(
    connections: Connections,
    new_nats: NewNats,
    login: Login,
    shown: dict[str, str],
    prefix: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A server that demands credentials is used, however they are given; none is logged."""
    server = new_nats(login=login)
    url = server.url.replace("://", f"://{prefix}")
    connection = await connections.start(url, **shown)
    assert await answers(connection, "any")
    captured = capfd.readouterr()
    assert "secret" not in captured.out + captured.err


@promise
async def test_a_server_that_a_cluster_tells_of_is_shown_what_the_url_has(
    connections: Connections, new_pair: NewPair
) -> None:
    """One URL with credentials is enough for all of a cluster, as it is without them."""
    first, _ = new_pair(login=Login(user="chat", password="secret"))
    connection = await connections.start(first.url.replace("://", "://chat:secret@"))
    first.kill()
    await eventually(lambda: connection.connected and connection.number == 2, 10.0)
    assert await answers(connection, "any")


def test_secrets_are_not_shown() -> None:
    """Settings can be logged."""
    settings = NatsSettings(("nats://127.0.0.1:4222",), "chat", "secret", "secret")
    for shown in (settings, Credentials.read(settings, settings.urls[0])):
        assert "chat" in repr(shown) and "secret" not in repr(shown)


@promise
async def test_a_changed_password_is_read_from_its_file(
    connections: Connections, new_nats: NewNats, tmp_path: Path
) -> None:
    """A password can be replaced while instances run; what is wrong meanwhile is in the log."""
    file = tmp_path / "password"
    file.write_text("right", encoding="utf-8")
    server = new_nats(login=Login(user="chat", password="right"))
    connection = await connections.start(server.url, user="chat", password=file.read_text)
    with capturedLogs() as events:
        server.stop()
        server.change_login(Login(user="chat", password="new"))
        server.start()
        await logged(events, "refused (authorization violation)")
        file.unlink()
        await logged(events, f"No such file or directory: '{file}'")
        file.write_text("new", encoding="utf-8")
        await logged(events, "was lost", "credentials were refused", "No such file", "Connected to")
    assert await answers(connection, "any")


# A user with a key, alone or with a JWT.


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be known by a key.

    Attributes:
        config: Of the server.
        setting: Which names the file.
        right: What is in the file.
        wrong: What is in that of somebody else.
    """

    config: str
    setting: str
    right: str
    wrong: str


@pytest.fixture(params=["nkey", "creds"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each way in turn."""
    if request.param == "creds":
        operator = Operator()
        right, wrong = operator.credentials(), Operator().credentials()
        return Kind(operator.config(), "creds_file", right, wrong)
    key, other = user_key(), user_key()
    config = f"authorization {{ users: [{{ nkey: {key.public_key.decode()} }}] }}"
    return Kind(config, "nkey_file", key.seed.decode(), f"{other.seed.decode()}\n")


@promise
async def test_a_user_is_known_by_its_key(
    connections: Connections, new_nats: NewNats, tmp_path: Path, kind: Kind
) -> None:
    """Whoever has the key of a user that the server knows is let in; others are not."""
    server = new_nats(extra_config=kind.config)
    file = tmp_path / "key"
    file.write_text(kind.right, encoding="utf-8")
    assert await answers(await connections.start(server.url, **{kind.setting: file}), "any")
    file.write_text(kind.wrong, encoding="utf-8")
    refused = f"the credentials in {file} were refused (authorization violation)"
    assert (await connections.refused(server.url, **{kind.setting: file})).endswith(refused)


@pytest.mark.parametrize("content", ["", "secret", "SUAsecret\n", "\u00e9secret", "U" * 58])
@promise
async def test_a_file_that_holds_no_key_is_named(
    connections: Connections, new_nats: NewNats, tmp_path: Path, kind: Kind, content: str
) -> None:
    """Whatever is in the file, the operator reads at once which one it is, and none of it."""
    server = new_nats(extra_config=kind.config)
    file = tmp_path / "key"
    expected = {f"{file} holds no usable seed", f"{file} is no .creds file: a JWT and a seed"}
    seed = next(line for line in reversed(kind.right.split("\n")) if line.startswith("SU"))
    for text in (content, kind.right.replace(seed, content), kind.right.split("\n\n")[0][:-9]):
        file.write_text(text, encoding="utf-8")
        began = time.monotonic()
        told = await connections.refused(server.url, **{kind.setting: file})
        assert any(each in told for each in expected), told
        assert time.monotonic() - began < 3
    file.unlink()
    missing = f"cannot connect to NATS: cannot read {file}: No such file or directory"
    assert await connections.refused(server.url, **{kind.setting: file}) == missing


@promise
async def test_credentials_that_have_expired_are_said_to_have(
    connections: Connections, new_nats: NewNats, tmp_path: Path
) -> None:
    """The operator reads which file it is, and when it was too late."""
    operator = Operator()
    server = new_nats(extra_config=operator.config())
    file = tmp_path / "user.creds"
    file.write_text(operator.credentials(expires=1_700_000_000), encoding="utf-8")
    told = await connections.refused(server.url, creds_file=file)
    assert told.endswith(
        f"the credentials in {file} were refused: they expired at 2023-11-14 22:13:20 UTC"
    )


@promise
async def test_credentials_that_expire_can_be_replaced(
    connections: Connections, new_nats: NewNats, tmp_path: Path
) -> None:
    """An instance that was cut off when they expired goes on as soon as there are new ones."""
    operator = Operator()
    server = new_nats(extra_config=operator.config())
    file = tmp_path / "user.creds"
    file.write_text(operator.credentials(expires=time.time() + 3), encoding="utf-8")
    connection = await connections.start(server.url, creds_file=file)
    with capturedLogs() as events:
        await logged(events, "they expired at")
        file.write_text("-----BEGIN", encoding="utf-8")  # while it is being written
        await logged(events, "is no .creds file")
        file.write_text(operator.credentials(), encoding="utf-8")
        await logged(
            events,
            "The connection to NATS was lost: user authentication expired",
            f"trying on: {server.url}: the credentials in {file} were refused: they expired",
            f"trying on: {file} is no .creds file",
            f"Connected to NATS at {server.url}",
        )
    assert await answers(connection, "any")


# TLS.


@promise
async def test_tls_is_verified(
    connections: Connections, new_nats: NewNats, certificates: Certificates, tmp_path: Path
) -> None:
    """A server is believed to be the right one by its certificate alone."""
    server = new_nats(tls=certificates)
    connection = await connections.start(server.url, ca_file=certificates.authority)
    assert await answers(connection, "any")
    text = await connections.refused(server.url)
    assert "TLS: its certificate is not trusted: " in text
    other = Certificates(tmp_path)
    text = await connections.refused(server.url, ca_file=other.authority)
    assert "TLS: its certificate is not trusted: " in text
    missing = tmp_path / "missing.pem"
    text = await connections.refused(server.url, ca_file=missing)
    assert text.endswith(f"TLS: cannot use {missing}: No such file or directory")


@promise
async def test_a_certificate_for_another_host_is_refused(
    connections: Connections, new_nats: NewNats, tmp_path: Path
) -> None:
    """A server that has a certificate of the right authority must be the one that was asked for."""
    elsewhere = Certificates(tmp_path, hosts=("nats.example.org",))
    server = new_nats(tls=elsewhere)
    text = await connections.refused(server.url, ca_file=elsewhere.authority)
    assert "TLS: its certificate is not trusted: IP address mismatch" in text


@pytest.mark.parametrize(
    ("given", "told", "first_is", "second_is"),
    [
        ("127.0.0.1", "localhost", "127.0.0.1", "localhost"),
        ("localhost", "127.0.0.1", "localhost", "localhost"),
    ],
)
@promise
async def test_a_server_that_a_cluster_tells_of_proves_its_name(
    connections: Connections,
    new_pair: NewPair,
    tmp_path: Path,
    given: str,
    told: str,
    first_is: str,
    second_is: str,
) -> None:
    """Told of by name it is to be that, and by its address, as here, whoever was given."""
    first_has = Certificates(tmp_path, (first_is,))
    first, _ = new_pair(told=told, tls=(first_has, first_has.others((second_is,))))
    connection = await connections.start(f"tls://{given}:{first.port}", ca_file=first_has.authority)
    first.kill()
    await eventually(lambda: connection.connected and connection.number == 2, 10.0)
    assert await answers(connection, "any")


@promise
async def test_a_server_that_wants_a_certificate_gets_one(
    connections: Connections, new_nats: NewNats, certificates: Certificates, tmp_path: Path
) -> None:
    """Where both sides prove themselves, the operator reads whose certificate is not taken."""
    server = new_nats(tls=certificates, mutual=True)
    right = {"cert_file": certificates.client_certificate, "key_file": certificates.client_key}
    connection = await connections.start(server.url, ca_file=certificates.authority, **right)
    assert await answers(connection, "any")
    other = Certificates(tmp_path)
    cases: dict[str, dict[str, Path]] = {
        "TLS: the server wants a certificate: give cert and key": {},
        f"TLS: the server did not take {other.client_certificate}": {
            "cert_file": other.client_certificate,
            "key_file": other.client_key,
        },
        f"TLS: cannot use {other.client_certificate}: [X509: KEY_VALUES_MISMATCH] key values": {
            "cert_file": other.client_certificate,
            "key_file": certificates.client_key,
        },
        f"TLS: cannot use {tmp_path / 'none'}: No such file": {"cert_file": tmp_path / "none"},
    }
    for words, shown in cases.items():
        assert words in await connections.refused(
            server.url, ca_file=certificates.authority, **shown
        )


@promise
async def test_a_certificate_can_be_replaced(
    connections: Connections, new_nats: NewNats, certificates: Certificates, tmp_path: Path
) -> None:
    """It is read again for each connection, so that its successor needs no restart."""
    server = new_nats(tls=certificates, mutual=True)
    own, key = tmp_path / "own.pem", tmp_path / "own.key"
    own.write_bytes(certificates.client_certificate.read_bytes())
    key.write_bytes(certificates.client_key.read_bytes())
    connection = await connections.start(
        server.url, ca_file=certificates.authority, cert_file=own, key_file=key
    )
    with capturedLogs() as events:
        own.write_bytes(b"")
        server.restart()
        await logged(events, f"trying on: TLS: cannot use {own}")
        own.write_bytes(certificates.client_certificate.read_bytes())
        await logged(events, "was lost", "TLS: cannot use", "Connected to NATS")
    assert await answers(connection, "any")


@pytest.mark.parametrize("scheme", ["tls", "nats"])
@pytest.mark.parametrize("shown", ["password", "token", "url", "creds", "nkey"])
@promise
async def test_nothing_is_shown_where_tls_is_demanded_and_not_offered(
    connections: Connections,
    new_nats: NewNats,
    certificates: Certificates,
    tmp_path: Path,
    scheme: str,
    shown: str,
) -> None:
    """Who comes between cannot get a secret, or a signature to pass on, by turning TLS off."""
    operator, key = Operator(), user_key()
    file = tmp_path / "key"
    file.write_text(
        operator.credentials() if shown == "creds" else key.seed.decode(), encoding="utf-8"
    )
    server = new_nats(extra_config=operator.config())  # which asks everybody for a signature
    settings: dict[str, dict[str, Any]] = {
        "password": {"user": "chat", "password": "secret"},
        "token": {"token": "secret"},
        "creds": {"creds_file": file},
        "nkey": {"nkey_file": file},
        "url": {},
    }
    with NatsProxy(("127.0.0.1", server.port)) as proxy:
        url = proxy.url.replace("nats", scheme)
        text = await connections.refused(
            url.replace("//", "//chat:secret@") if shown == "url" else url,
            ca_file=certificates.authority if scheme == "nats" else None,
            **settings[shown],
        )
        assert text.endswith("TLS: the server does not offer it")
        assert not any(b"CONNECT" in seen.frame.raw for seen in proxy.seen)
