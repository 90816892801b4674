"""Makes ``disroom`` a subcommand of twistd."""

from twisted.application.service import ServiceMaker

disroom = ServiceMaker("disroom", "disroom.tap", "A distributed chat-room server.", "disroom")
