"""Both engines as hardware: Amaranth modules, Verilog, simulation, synthesis. Extra `rtl`."""
