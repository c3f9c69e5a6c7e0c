"""`codesign demo`."""


def demo_verb() -> None:
    """x."""
