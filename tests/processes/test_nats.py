"""The nats-servers of the tests, and the raw client that reads the truth from them."""

from collections.abc import Callable

import pytest

from tests.eventually import eventually_blocking
from tests.processes.certificates import Certificates
from tests.processes.nats import Login, NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.rawnats import JetStreamError, RawNats, Refused


def test_a_killed_server_returns_on_its_port_with_its_data(
    new_nats: Callable[..., NatsServer],
) -> None:
    """A test of an outage has the same server back after it."""
    server = new_nats()
    port = server.port
    with server.connect() as client:
        client.jetstream("STREAM.CREATE.S", {"name": "S", "subjects": ["s.*"]})
        client.publish_acked("s.a", b"kept", {"Nats-Msg-Id": "1"})
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    server.start()
    assert server.port == port
    with server.connect() as client:
        (message,) = client.stream_messages("S")
    assert (message.seq, message.subject, message.payload) == (1, "s.a", b"kept")
    assert message.headers == {"Nats-Msg-Id": "1"}


def test_the_raw_client_reads_one_subject_of_many(nats: NatsServer, unique: str) -> None:
    """The truth about a room is read whole, in order, however rooms interleave."""
    with nats.connect() as client:
        client.jetstream(f"STREAM.CREATE.{unique}", {"name": unique, "subjects": [f"{unique}.>"]})
        for number in range(12):
            client.publish_acked(f"{unique}.room.{number % 3}", b"%d" % number)
        room = client.stream_messages(unique, f"{unique}.room.1")
        assert [message.payload for message in room] == [b"1", b"4", b"7", b"10"]
        assert [message.seq for message in room] == [2, 5, 8, 11]
        assert len(client.stream_messages(unique)) == 12
        assert client.stream_messages(unique, f"{unique}.other") == []
        assert client.stream_info(unique)["state"]["messages"] == 12
        assert client.consumer_count(unique) == 0
        with pytest.raises(JetStreamError, match="stream not found"):
            client.stream_messages("NO_SUCH_STREAM")


def test_the_raw_client_speaks_core_nats(nats: NatsServer, unique: str) -> None:
    """A test can listen to live subjects, with headers, and wait in vain without harm."""
    with nats.connect() as listener, nats.connect() as speaker:
        listener.subscribe(f"{unique}.>")
        listener.flush()
        with pytest.raises(TimeoutError):
            listener.next_message(timeout=0.05)
        speaker.publish(f"{unique}.a", b"x\r\ny", {"Key": "a: b"})
        speaker.publish(f"{unique}.b", b"", reply="answer.here")
        first, second = listener.next_message(), listener.next_message()
        assert first[:4] == (f"{unique}.a", "", {"Key": "a: b"}, b"x\r\ny")
        assert second[:4] == (f"{unique}.b", "answer.here", {}, b"")
        with pytest.raises(ConnectionError, match="nobody"):
            speaker.request(f"{unique}-nobody")


@pytest.mark.parametrize("login", [Login(token="secret"), Login(user="chat", password="secret")])
def test_credentials_are_demanded(new_nats: Callable[..., NatsServer], login: Login) -> None:
    """A server made with a login refuses who does not show it."""
    server = new_nats(login=login)
    with server.connect() as client:
        assert client.jetstream("INFO")["limits"]
    with pytest.raises(Refused, match="Authorization Violation"):
        RawNats(server.port)


def test_tls_is_offered_and_verified(
    new_nats: Callable[..., NatsServer], certificates: Certificates
) -> None:
    """A server made with a certificate speaks TLS."""
    server = new_nats(tls=certificates, monitoring=True)
    assert server.url.startswith("tls://")
    with server.connect() as client:
        assert client.info["tls_required"]


def test_a_paused_server_is_silent_until_resumed(new_nats: Callable[..., NatsServer]) -> None:
    """A test can freeze a server: its connections stay, and nothing is answered."""
    server = new_nats()
    with server.connect() as client:
        server.pause()
        with pytest.raises(TimeoutError):
            client.jetstream("INFO", timeout=0.1)
        server.resume()
        assert client.jetstream("INFO")["limits"]


def test_a_cluster_has_replicas_and_survives_its_leader(
    nats_cluster: NatsCluster, unique: str
) -> None:
    """Three nodes hold a stream three times, and two go on when the leader is killed."""
    with nats_cluster.connect() as client:
        config = {"name": unique, "subjects": [unique], "num_replicas": 3}
        assert client.jetstream(f"STREAM.CREATE.{unique}", config)["config"]["num_replicas"] == 3
        client.publish_acked(unique, b"before")
    nats_cluster.wait_in_sync(unique)
    leader = nats_cluster.stream_leader(unique)
    leader.kill()
    successor = nats_cluster.stream_leader(unique)
    assert successor is not leader
    with successor.connect() as client:
        ack = eventually_blocking(lambda: client.publish_acked(unique, b"after"))
        assert ack["seq"] == 2


def test_a_cluster_is_whole_again_for_the_next_test(nats_cluster: NatsCluster) -> None:
    """What a test does to the module's cluster is undone before the next."""
    assert all(node.answering for node in nats_cluster.nodes)
    with nats_cluster.connect() as client:
        client.jetstream("STREAM.CREATE.W", {"name": "W", "num_replicas": 3})
        client.jetstream("STREAM.DELETE.W")
