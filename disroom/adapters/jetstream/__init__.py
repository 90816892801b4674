"""The room log on JetStream."""
