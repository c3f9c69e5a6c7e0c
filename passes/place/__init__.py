"""Scheduling passes: which kernel runs what, in which layout."""
