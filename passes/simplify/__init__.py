"""Passes that keep the meaning and make the graph smaller."""
