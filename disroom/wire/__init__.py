"""Sans-I/O codecs: bytes to commands, events to bytes."""
