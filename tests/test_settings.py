"""The configuration as each part of an instance takes it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from disroom import settings
from disroom.adapters.nats.settings import NatsSettings
from disroom.adapters.redis.address import RedisAddress, RedisSentinels
from disroom.config import Config, ConfigError, load
from disroom.preflight import check

BROKERS = {"nats.url": ["nats://n"], "redis.url": "redis://r"}


def configured(**options: object) -> Config:
    """Options are `section_key`, on brokers elsewhere."""
    named = {name.replace("_", ".", 1): value for name, value in options.items()}
    return load(options={**BROKERS, **named})


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_secrets_from_files(tmp_path: Path, end: bytes) -> None:
    """A file has the secret without its final line end, and wins over the value."""
    file = tmp_path / "secret"
    file.write_bytes(b" s3cret pass" + end)
    user = {"nats_user": "u", "nats_password": "x", "nats_password_file": str(file)}
    nats = settings.nats_settings(configured(**user))
    assert (nats.user, nats.password) == ("u", " s3cret pass")
    token = {"nats_token": "x", "nats_token_file": str(file)}
    assert settings.nats_settings(configured(**token)).token == " s3cret pass"
    redis = settings.redis_address(configured(redis_password_file=str(file)))
    assert isinstance(redis, RedisAddress)
    assert redis.password == " s3cret pass"
    for shown in (repr(nats), repr(redis), str(redis)):
        assert "s3cret" not in shown


def test_secrets_that_are_missing(tmp_path: Path) -> None:
    """A secret's file that is missing, or not text, is named; it is no empty password."""
    binary, empty = tmp_path / "binary", tmp_path / "empty"
    binary.write_bytes(b"\xff\xfe")
    empty.write_bytes(b"\n")
    for file, why in (
        ("/none", "cannot read /none: No such file or directory"),
        (str(binary), f"cannot read {binary}: it is not UTF-8"),
        (str(empty), f"{empty} is empty: a secret was expected in it"),
    ):
        with pytest.raises(ConfigError) as refused:
            settings.nats_settings(configured(nats_user="u", nats_password_file=file))
        assert str(refused.value) == why


def test_every_way_to_be_known_to_nats_is_passed_on(tmp_path: Path) -> None:
    """What is configured is what is shown; of a secret's file, as it is when it is asked for."""
    file = tmp_path / "secret"
    file.write_text("old\n", encoding="utf-8")
    user = configured(nats_user="u", nats_password_file=str(file))
    token = configured(nats_token_file=str(file))
    for secret in ("old", "new"):
        file.write_text(f"{secret}\n", encoding="utf-8")
        assert settings.nats_settings(user) == NatsSettings(("nats://n",), "u", secret)
        assert settings.nats_settings(token) == NatsSettings(("nats://n",), token=secret)
    file = Path("/f")
    for options, expected in (
        ({"nats_credentials": "/f"}, NatsSettings(("nats://n",), creds_file=file)),
        ({"nats_nkey": "/f"}, NatsSettings(("nats://n",), nkey_file=file)),
        ({"nats_ca": "/f"}, NatsSettings(("nats://n",), ca_file=file)),
        ({"nats_cert": "/f"}, NatsSettings(("nats://n",), cert_file=file)),
        (
            {"nats_cert": "/f", "nats_key": "/f"},
            NatsSettings(("nats://n",), cert_file=file, key_file=file),
        ),
    ):
        assert settings.nats_settings(configured(**options)) == expected


def test_the_scheme_of_a_nats_url_may_be_left_out() -> None:
    """What is in it counts all the same, as a password does."""
    urls = ["u:p@n-1:4222", "tls://n-2"]
    assert settings.nats_settings(configured(nats_url=urls)) == NatsSettings(
        ("nats://u:p@n-1:4222", "tls://n-2")
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"nats_user": "u"}, "nats.user without nats.password: give both"),
        ({"nats_password": "p"}, "nats.password without nats.user: give both"),
        ({"nats_token": "t", "nats_nkey": "/f"}, "nats.token and nats.nkey: give one of them"),
        ({"nats_key": "/f"}, "nats.key without nats.cert: it is the certificate's key"),
        ({"redis_key": "/f"}, "redis.key without redis.cert: it is the certificate's key"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, str], reason: str) -> None:
    """Nothing that is configured is left out in silence."""
    with pytest.raises(ConfigError) as refused:
        settings.nats_settings(configured(**options))
        settings.redis_address(configured(**options))
    assert str(refused.value) == reason


def test_tls_to_redis_is_not_dropped() -> None:
    """An authority without rediss:// is a mistake, not a reason to go without TLS."""
    with pytest.raises(ConfigError, match="rediss://"):
        settings.redis_address(configured(redis_ca="/ca.pem"))
    address = settings.redis_address(configured(redis_ca="/ca.pem", redis_url="rediss://r"))
    assert isinstance(address, RedisAddress) and address.tls and address.ca_file == Path("/ca.pem")


def test_sentinels(tmp_path: Path) -> None:
    """They have a password of their own, by value or by file; TLS is refused, not left out."""
    file = tmp_path / "secret"
    file.write_text("s3cret\n", encoding="utf-8")
    where: dict[str, object] = {"redis_url": "sentinel://a,b/m", "redis_password": "redis"}
    for given in (
        {"redis_sentinel_password": "s3cret"},
        {"redis_sentinel_password_file": str(file)},
    ):
        found = settings.redis_address(configured(**where, **given, redis_sentinel_user="sam"))
        assert isinstance(found, RedisSentinels)
        assert found.master.password == "redis"
        assert {(a.username, a.password) for a in found.addresses} == {("sam", "s3cret")}
        assert "s3cret" not in repr(found)
    for key in ("ca", "cert", "key"):
        with pytest.raises(ConfigError, match="TLS, which is not supported with Sentinel"):
            settings.redis_address(configured(**where, **{f"redis_{key}": "/x.pem"}))


def test_the_message_of_the_day(tmp_path: Path) -> None:
    """It is shown as it is in the file, but for what could take over a terminal."""
    file = tmp_path / "motd"
    file.write_text("Bonjour, \u00e7a va\n\x1b[31mred\x1b[0m\n", encoding="utf-8")
    line = settings.line_settings(load(options={"server.motd": str(file)}), "tcp:23", telnet=True)
    assert line.motd == ("Bonjour, \u00e7a va", "red")
    assert line.telnet
    assert settings.line_settings(Config(), "tcp:8080", telnet=False).motd == ()


def test_a_message_of_the_day_has_an_end(tmp_path: Path) -> None:
    """A file that is none, /dev/zero say, does not hang the start; nobody is sent a book."""
    file = tmp_path / "motd"
    file.write_text("x" * settings.LONGEST_FILE)
    for path, refused in ((str(file), False), ("/dev/zero", True)):
        config = load(options={"server.motd": path})
        check(config)
        if refused:
            with pytest.raises(ConfigError, match=f"{path}: it has more than 65,536 bytes"):
                settings.line_settings(config, "tcp:23", telnet=True)
        else:
            assert settings.line_settings(config, "tcp:23", telnet=True).motd


def test_connections_leave_files_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are configured, an instance keeps 64 descriptors for itself."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    for limit, most in ((0, 960), (100, 100), (5000, 960)):
        assert settings.most_connections(load(options={"limits.connections": limit})) == most


def test_the_backlog_is_no_longer_than_a_room() -> None:
    """Where a room keeps 5 messages, 5 are shown on joining."""
    config = configured(stream_max_messages_per_room=5)
    assert settings.chat_limits(config).backlog == 5
    assert settings.chat_limits(Config()).backlog == 10


def test_units() -> None:
    """Durations and sizes arrive in seconds and bytes."""
    config = configured(
        stream_max_age="12h", stream_max_bytes="1GiB", presence_lease="8s", presence_grace="1m"
    )
    stream = settings.stream_settings(config)
    assert (stream.max_age, stream.max_bytes) == (43200.0, 1 << 30)
    assert settings.redis_settings(config).lease == 8.0
    assert settings.redis_settings(config).grace == 60.0
    interest = configured(stream_retention="interest")
    assert settings.redis_settings(interest).keeps_empty
    assert not settings.redis_settings(config).keeps_empty
