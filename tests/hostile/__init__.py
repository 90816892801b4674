"""Clients that mean harm, or merely behave so, beside two users who just talk."""
