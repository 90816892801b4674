"""A greeter, as a service of Twisted: SERVERS="a:8080 b:8080" ROOM=tea twistd -ny greeter.py."""

import os

from twisted.application.service import Application
from twisted.internet import reactor

from disroom.client import Event, Joined
from disroom.client.tx import ChatService


async def heard(event: Event) -> None:
    """Greet whoever comes in."""
    if isinstance(event, Joined):
        for member in event.members:
            if member.session != chat.session:
                await chat.send(event.room, f"welcome, {member.nick}")


application = Application("greeter")
chat = ChatService(
    reactor,
    os.environ.get("SERVERS", "localhost:8080").split(),
    nick=os.environ.get("NICK", "greeter"),
    rooms=[os.environ.get("ROOM", "tea")],
    heard=heard,
)
chat.setServiceParent(application)
