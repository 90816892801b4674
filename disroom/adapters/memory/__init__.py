"""The reference implementations: for one process, and for the tests of all the rest."""
