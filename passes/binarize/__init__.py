"""Passes that leave one to three bits of weights and activations."""
