"""Several nats-servers as one JetStream cluster."""

import secrets
from pathlib import Path
from typing import Any, Self

from tests.eventually import eventually_blocking
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort
from tests.processes.rawnats import JetStreamError, RawNats

ELECTION_SECONDS = 30.0
ASK_AGAIN_SECONDS = 0.25  # without a leader there is no answer at all


class NatsCluster:
    """Nodes `n1`, `n2`... on 127.0.0.1, each with data of its own; a context manager.

    Args:
        directory: A directory for each node is made in it.
        size: How many nodes.
        advertise: Whether a node tells clients about the others. False for a test that keeps a
            client on one node, or behind a proxy.
        extra_config: Appended to each node's configuration.
    """

    def __init__(
        self, directory: Path, *, size: int = 3, advertise: bool = True, extra_config: str = ""
    ) -> None:
        self._route_ports = [ReservedPort() for _ in range(size)]
        routes = ", ".join(f'"nats://127.0.0.1:{port.number}"' for port in self._route_ports)
        self.nodes: list[NatsServer] = []
        for number, port in enumerate(self._route_ports, 1):
            cluster = (
                f'cluster {{ name: "tests", listen: "127.0.0.1:{port.number}", '
                f"routes: [{routes}], no_advertise: {str(not advertise).lower()} }}\n"
            )
            name = f"n{number}"
            self.nodes.append(
                NatsServer(directory / name, name=name, extra_config=cluster + extra_config)
            )

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def urls(self) -> list[str]:
        """The URL of each node."""
        return [node.url for node in self.nodes]

    def start(self) -> Self:
        """Start the nodes that do not run; wait until a stream can have a replica on each."""
        down = [node for node in self.nodes if not node.running]
        for node in down:
            node.launch()
        for node in down:
            node.wait_ready()
        self.wait_ready()
        return self

    def heal(self) -> None:
        """Undo every kill, stop and pause of a node."""
        for node in self.nodes:
            node.resume()
        if not all(node.running for node in self.nodes):
            self.start()

    def close(self) -> None:
        """Stop all nodes and give their ports back."""
        for node in self.nodes:
            node.close()
        for port in self._route_ports:
            port.release()

    def connect(self) -> RawNats:
        """Return a raw connection to some node that runs and is not paused.

        Raises:
            OSError: None does, or it takes no connection.
        """
        for node in self.nodes:
            if node.answering:
                return node.connect()
        raise ConnectionRefusedError("no node of the cluster answers")

    def wait_ready(self) -> None:
        """Wait until a stream can have a replica on each answering node; one is made, briefly."""
        name = f"READY_{secrets.token_hex(4)}"
        probe = {
            "name": name,
            "subjects": [name],
            "storage": "memory",
            "num_replicas": sum(node.answering for node in self.nodes),
        }
        with self.connect() as client:

            def made() -> bool:
                try:
                    client.jetstream(f"STREAM.CREATE.{name}", probe, timeout=ASK_AGAIN_SECONDS)
                except (JetStreamError, OSError):
                    return False
                return True

            eventually_blocking(made, ELECTION_SECONDS, self._logs)
            client.jetstream(f"STREAM.DELETE.{name}")

    def stream_leader(self, stream: str) -> NatsServer:
        """Return the node that leads the stream, once one does that is neither down nor paused."""

        def leader() -> NatsServer | None:
            name = self._cluster_of(stream).get("leader")
            return next((n for n in self.nodes if n.name == name and n.answering), None)

        return eventually_blocking(leader, ELECTION_SECONDS, f"no leader of {stream}")

    def wait_in_sync(self, stream: str) -> None:
        """Wait until each replica of the stream is online and has all of it."""

        def in_sync() -> bool:
            cluster = self._cluster_of(stream)
            replicas = cluster.get("replicas", [])
            return bool(cluster.get("leader")) and all(
                replica["current"] and not replica.get("offline") for replica in replicas
            )

        eventually_blocking(in_sync, ELECTION_SECONDS, f"the replicas of {stream} are not in sync")

    def _cluster_of(self, stream: str) -> dict[str, Any]:
        try:
            with self.connect() as client:
                cluster: dict[str, Any] = client.stream_info(stream, ASK_AGAIN_SECONDS)["cluster"]
                return cluster
        except (JetStreamError, OSError):
            return {}

    def _logs(self) -> str:
        return "\n".join(f"{node.name}:\n{node.log_tail(10)}" for node in self.nodes)
