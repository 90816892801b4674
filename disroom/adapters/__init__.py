"""The ports of the domain, on JetStream, on Redis and in memory."""
