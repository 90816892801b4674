"""The chat domain: rooms, sessions and events, free of any network."""
