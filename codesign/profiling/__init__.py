"""Making a device's profile: random layers, measured where least is known, and the fit."""
