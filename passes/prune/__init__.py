"""Passes that remove weights."""
