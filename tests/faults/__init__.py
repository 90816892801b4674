"""Faults caused for real, and what users see of them, counted by clients from outside."""
