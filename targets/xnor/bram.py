"""How many blocks of RAM, or LUTs, a memory of given depth and width takes.

A block of 18 Kib is 16384 x 1, 8192 x 2, 4096 x 4, 2048 x 9, 1024 x 18 or 512 x 36 (AMD UG473,
7 Series memory resources, table 1-7; UG573 for UltraScale). A LUT is 64 x 1 of memory with one
port, 32 x 2 as a simple dual-port one (UG474, chapter 2).
"""

SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
LUT_DEPTH = 64
SHIFT = 32  # words that a LUT shifts through


def blocks(depth: int, width: int) -> int:
    """Blocks of 18 Kib for `depth` words of `width` bits, all in the best shape of a block."""
    return min(-(-depth // deep) * -(-width // wide) for deep, wide in SHAPES)


def lutram(depth: int, width: int) -> int:
    """LUTs that `depth` words of `width` bits take, one port to read."""
    return -(-depth // LUT_DEPTH) * width


def dual(depth: int, width: int) -> int:
    """LUTs that `depth` words of `width` bits take, one port to write and one to read."""
    return -(-depth // SHIFT) * -(-width // 2) * 1


def shift(depth: int, width: int) -> int:
    """LUTs of a FIFO of `depth` words of `width` bits in shift registers."""
    return -(-depth // SHIFT) * width
