"""Real programs as the tests use them: brokers, the service, clients, and proxies between."""
