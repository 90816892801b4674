"""The one error of the embedded brokers."""


class BrokerError(Exception):
    """The brokers cannot be found, started or reached; the text is one line and says what to do."""
