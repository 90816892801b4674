"""The site: the page at ``/``, and ``/ws`` for it and for other programs."""

from __future__ import annotations

from disroom.transports.connections import Connections
from disroom.transports.reception import ClientSettings, Reception
from disroom.transports.webchannel import WebSite
from disroom.transports.webpage import page
from disroom.transports.websocket import WebSocketResource
from disroom.transports.webvisitor import Origins, Proxies


def web_site(
    reception: Reception,
    settings: ClientSettings,
    *,
    origins: Origins,
    proxies: Proxies,
    visitors: Connections,
) -> WebSite:
    """Put the site together.

    Args:
        reception: Of the instance.
        settings: Of the clients that come in here.
        origins: The pages that may open a WebSocket.
        proxies: Those that are believed when they say for whom they ask.
        visitors: Counts connections while they are HTTP.
    """
    root = page()
    socket = WebSocketResource(reception, settings, origins=origins, proxies=proxies)
    root.putChild(b"ws", socket)
    return WebSite(
        root,
        connections=reception.connections,
        visitors=visitors,
        proxies=proxies,
        clock=reception.reactor,
    )
