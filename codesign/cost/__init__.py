"""Cost models: what a layer takes on a machine."""
