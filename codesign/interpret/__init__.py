"""The meaning of a graph, computed in torch: the oracle of every kernel and simulator.

`evaluate` and `trace` (in `codesign.interpret.evaluate`) run a graph on numpy arrays; `as_module`
(in `codesign.interpret.module`) makes it trainable.
"""
