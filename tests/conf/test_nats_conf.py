"""conf/nats: three configurations that make one JetStream cluster."""

import contextlib
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import pytest

from disroom.config import Config
from tests.eventually import eventually_blocking
from tests.processes.child import Child
from tests.processes.disroom import DisroomProcess
from tests.processes.ports import ReservedPort
from tests.processes.rawnats import JetStreamError, RawNats, Refused
from tests.processes.redis import RedisServer

CONF = Path(__file__).parents[2] / "conf" / "nats"
NAMES = ("nats-1", "nats-2", "nats-3")
VARIABLE = re.compile(r"^#?(?P<name>[A-Z_]+)=(?P<value>.*)$", re.M)
ELECTION_SECONDS = 30.0


def shipped_environment() -> dict[str, str]:
    """Return the variables of nats.env, those that are commented out with an empty value."""
    text = (CONF / "nats.env").read_text(encoding="utf-8")
    return {
        found["name"]: "" if found[0].startswith("#") else found["value"]
        for found in VARIABLE.finditer(text)
    }


class Node(Child):
    """One of the three, on loopback instead of a machine of its own."""

    def __init__(self, name: str, directory: Path, env: Mapping[str, str], port: int) -> None:
        super().__init__(name, directory)
        self.port = port
        self._env = env

    def start(self) -> Self:
        """Start it and wait until it listens."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        self._launch([str(program), "-c", str(CONF / f"{self.name}.conf")], self._env)

    def wait_ready(self) -> None:
        """Wait until it listens."""
        self._wait_ready(self.refuses)

    def refuses(self, user: str | None = None, password: str | None = None) -> bool:
        """Whether a client with this login is turned away."""
        try:
            RawNats(self.port, user=user, password=password).close()
        except Refused:
            return True
        return False

    def connect(self) -> RawNats:
        """Return a connection as DisRoom's."""
        return RawNats(self.port, user="disroom", password="chatpass")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """The three nodes, started."""
    directory = tmp_path_factory.mktemp("nats-conf")
    ports = {
        name: {part: ReservedPort() for part in ("LISTEN", "CLUSTER_LISTEN", "MONITOR")}
        for name in NAMES
    }
    routes = ", ".join(
        f"nats://route:routepass@127.0.0.1:{ports[name]['CLUSTER_LISTEN'].number}" for name in NAMES
    )
    nodes = []
    for name in NAMES:
        env = {
            **shipped_environment(),
            **{f"NATS_{part}": f"127.0.0.1:{port.number}" for part, port in ports[name].items()},
            "NATS_STORE": str(directory / name),
            "NATS_PASSWORD": "chatpass",
            "NATS_SYS_PASSWORD": "syspass",
            "NATS_CLUSTER_PASSWORD": "routepass",
            "NATS_ROUTES": f"[{routes}]",
        }
        nodes.append(Node(name, directory, env, ports[name]["LISTEN"].number))
    try:
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait_ready()
        yield nodes
    finally:
        for node in nodes:
            node.close()
        for reserved in ports.values():
            for port in reserved.values():
                port.release()


def test_the_three_are_a_cluster_that_disroom_can_use(
    nodes: list[Node],
    redis: RedisServer,
    new_disroom: Callable[..., DisroomProcess],
    unique: str,
) -> None:
    """There is room for DisRoom's stream with its defaults, three times over."""

    def has_leader() -> bool:
        with contextlib.suppress(JetStreamError, OSError), nodes[0].connect() as client:
            return bool(client.jetstream("INFO", timeout=0.5))
        return False

    eventually_blocking(has_leader, ELECTION_SECONDS, lambda: nodes[0].log_tail())
    environment = {
        "DISROOM_NATS_USER": "disroom",
        "DISROOM_NATS_PASSWORD": "chatpass",
        "DISROOM_REDIS_PREFIX": unique,
        "DISROOM_STREAM_REPLICAS": "3",
    }
    urls = [f"nats://127.0.0.1:{node.port}" for node in nodes]
    new_disroom(nats=urls, redis=redis.url, env=environment)
    for node in nodes:
        with node.connect() as client:
            info = client.stream_info(Config().stream.name)
        replicas = {replica["name"] for replica in info["cluster"]["replicas"]}
        assert replicas | {info["cluster"]["leader"]} == set(NAMES)
        assert info["config"]["num_replicas"] == 3
        assert info["config"]["max_bytes"] == Config().stream.max_bytes


def test_only_those_with_the_password_are_let_in(nodes: list[Node]) -> None:
    """A cluster set up from the files is not open to whoever reaches its port."""
    for node in nodes:
        assert node.refuses()
        assert node.refuses(user="disroom", password="guess")
        assert not node.refuses(user="disroom", password="chatpass")
        assert not node.refuses(user="sys", password="syspass")


@pytest.mark.parametrize("forgotten", ["NATS_PASSWORD", "NATS_SYS_PASSWORD", "NATS_ROUTES"])
def test_a_forgotten_secret_stops_the_start(forgotten: str, tmp_path: Path) -> None:
    """nats.env as shipped has no passwords, and no server starts without them."""
    env = {
        **{name: value for name, value in shipped_environment().items() if value},
        "NATS_LISTEN": "127.0.0.1:-1",
        "NATS_CLUSTER_LISTEN": "127.0.0.1:-1",
        "NATS_MONITOR": "127.0.0.1:-1",
        "NATS_STORE": str(tmp_path / "store"),
        "NATS_PASSWORD": "chatpass",
        "NATS_SYS_PASSWORD": "syspass",
        "NATS_CLUSTER_PASSWORD": "routepass",
        "NATS_ROUTES": "[nats://route:routepass@127.0.0.1:1]",
    }
    del env[forgotten]
    with_it_missing = Node("nats-1", tmp_path, env, 0)
    with_it_missing.launch()
    code, output = with_it_missing.wait_exit()
    assert code == 1
    assert f"'{forgotten}'" in output


def test_all_variables_are_in_the_environment_file() -> None:
    """Whoever fills in nats.env has filled in everything."""
    used = {
        name
        for file in CONF.glob("*.conf")
        for line in file.read_text(encoding="utf-8").splitlines()
        for name in re.findall(r"\$([A-Z_]+)", line.partition("#")[0])
    }
    assert used == set(shipped_environment())
