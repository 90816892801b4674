"""The embedded brokers: nats-server and Redis as children of a server that was given neither."""

from disroom.brokers.binaries import find_nats_server, find_redis_server
from disroom.brokers.embedded import EmbeddedBrokers
from disroom.brokers.errors import BrokerError
from disroom.brokers.statedir import BrokerAddresses, check_state_dir

__all__ = [
    "BrokerAddresses",
    "BrokerError",
    "EmbeddedBrokers",
    "check_state_dir",
    "find_nats_server",
    "find_redis_server",
]
