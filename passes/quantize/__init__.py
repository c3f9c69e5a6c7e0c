"""Passes that choose bit widths and scales."""
