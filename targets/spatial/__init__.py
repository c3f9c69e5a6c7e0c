"""Accelerators that are arrays of elements under memories: one machine file each."""
