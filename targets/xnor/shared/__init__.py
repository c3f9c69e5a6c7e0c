"""XNE: one binary engine beside a core, for all layers in turn."""
