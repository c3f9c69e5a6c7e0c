"""The CPU's kernels as codesign sees them: pattern, guard, layouts, cost, space, emit."""
