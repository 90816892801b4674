"""``disroom-chat``: a chat client for the terminal that rides through the death of a server."""
