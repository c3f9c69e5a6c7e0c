"""Facts about graphs and programs; never rewrites."""
