"""The graph IR: types with encodings, ops, frozen graphs, programs, and their text form."""
