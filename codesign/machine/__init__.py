"""Machine descriptions: memories, compute units, energies, from checked TOML."""
