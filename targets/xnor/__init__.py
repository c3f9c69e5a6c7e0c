"""Engines for binary and few-bit networks: FINN's streaming dataflow, and XNE's shared one."""
