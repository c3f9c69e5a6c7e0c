"""Passes: the contract, edits, pipelines and the ledger."""
