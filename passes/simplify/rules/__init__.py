"""The rules of `canonicalize`, by the kind of the node that they replace.

A rule takes (graph, node, edit) and returns a value equal to the node's result, made in the edit or
there already; None if it does not apply.
"""
