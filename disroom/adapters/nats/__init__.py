"""NATS: one connection that is kept, and what is sent on it to single instances."""
