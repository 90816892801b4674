"""DisRoom: a distributed chat-room server on Twisted, NATS JetStream and Redis."""
