"""Which kernel runs what: groups, kernels, targets, placement, layouts."""
