"""Clients of a DisRoom chat that survive the network.

`connect` is for asyncio; `disroom.client.tx.ChatService` is for Twisted. Both are shells around
`disroom.client.core.Core`, which does no I/O and fits any other loop as well.
"""

from disroom.client.aio import Chat, connect
from disroom.client.calls import ChatFailed
from disroom.client.events import Connected, Disconnected, Event, NotRejoined
from disroom.client.rooms import Room, Rooms
from disroom.wire.messages import (
    Away,
    Delayed,
    Did,
    Gap,
    Joined,
    Left,
    Member,
    Private,
    Renamed,
    Said,
    Stored,
    Topic,
    TopicSet,
)

__all__ = [
    "Away",
    "Chat",
    "ChatFailed",
    "Connected",
    "Delayed",
    "Did",
    "Disconnected",
    "Event",
    "Gap",
    "Joined",
    "Left",
    "Member",
    "NotRejoined",
    "Private",
    "Renamed",
    "Room",
    "Rooms",
    "Said",
    "Stored",
    "Topic",
    "TopicSet",
    "connect",
]
