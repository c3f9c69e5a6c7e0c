"""Tiles of 8-bit convolutions in AMX registers: 16 pixels by 16 channels, 64 products deep.

Reference: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBUSD. A tile
of activations is up to 16 pixels of one image row, 64 bytes of channels each, read in place with
the distance of two pixels as stride. Where the bytes of a reduction are no multiple of 64 the last
64 overlap those before, and the weights of the overlap are zero. Sums leave through memory.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.int8_layout import LANES
from codesign.targets.tvm.kernels.int8_tile import Point, Reduction, chunk, starts
from codesign.targets.tvm.tir import Buffer, Expr, Function, load

TILE = 16  # rows of a register, and 32-bit columns
DEEP = 64  # bytes of a row
WORD = 4  # products that add to one sum


@dataclass(frozen=True)
class Chunks:
    """The reduction cut into pieces of `size` bytes that start at `offsets` of a kernel row."""

    r: Reduction
    size: int
    offsets: tuple[int, ...]

    @property
    def taps(self) -> tuple[int, int]:
        """Kernel rows and kernel columns that are walked one by one."""
        return self.r.p.kh, 1 if self.r.merged else self.r.p.kw

    @property
    def count(self) -> int:
        """Pieces of the whole reduction."""
        rows, columns = self.taps
        return rows * columns * len(self.offsets)

    def packed(self, point: Point) -> tuple[int, ...]:
        """Shape of the packed weight: channel tiles, pieces, blocks, words, 16 channels x 4."""
        tiles = len(starts(self.r.blocks, point.blocks))
        return (tiles, self.count, point.blocks, self.size // WORD, LANES * WORD)

    def pack(self, weight: npt.NDArray[np.int8], point: Point) -> npt.NDArray[np.int8]:
        """[O, I, kh, kw] in the order in which the loops read it."""
        r, p = self.r, self.r.p
        full = np.zeros((r.blocks * LANES, p.kh, p.kw, r.channels), np.int8)
        full[: p.oc, ..., : p.ic] = weight.reshape(p.oc, p.ic, p.kh, p.kw).transpose(0, 2, 3, 1)
        rows = full.reshape(r.blocks, LANES, *self.taps, -1)
        rows = np.pad(rows, ((0, 0),) * 4 + ((0, DEEP),))
        pieces, done = [], 0
        for offset in self.offsets:
            piece = rows[..., offset : offset + self.size].copy()
            piece[..., : max(done - offset, 0)] = 0
            pieces.append(piece)
            done = offset + self.size
        words = np.stack(pieces, 4).reshape(r.blocks, LANES, self.count, self.size // WORD, WORD)
        words = words.transpose(0, 2, 3, 1, 4).reshape(r.blocks, self.count, -1, LANES * WORD)
        tiles = [words[s : s + point.blocks] for s in starts(r.blocks, point.blocks)]
        return np.ascontiguousarray(np.stack(tiles).transpose(0, 2, 1, 3, 4))


def chunks(r: Reduction) -> Chunks:
    """Pieces of 64 bytes, or one smaller piece."""
    row = r.channels * (r.p.kw if r.merged else 1)
    if row <= DEEP:
        return Chunks(r, -(-row // WORD) * WORD, (0,))
    last = row - DEEP if r.channels % LANES == 0 else -(-row // DEEP) * DEEP - DEEP
    return Chunks(r, DEEP, (*range(0, last, DEEP), last))


def pixels(r: Reduction) -> int:
    """Pixels of a register: the image row in equal parts of at most 16."""
    return -(-r.p.ow // -(-r.p.ow // TILE))


def space(r: Reduction) -> list[Point]:
    """Register tiles of at most eight registers, least estimated time first.

    A point's `columns` counts registers of `pixels(r)` pixels.
    """
    across = -(-r.p.ow // pixels(r))
    forms = ((2, 2, 1), (2, 1, 2), (1, 4, 1), (1, 1, 4), (4, 1, 1), (3, 1, 1), (2, 1, 1), (1, 1, 1))
    points = [
        _point(r, *form)
        for form in forms
        if form[0] <= r.blocks and form[1] <= r.p.oh and form[2] <= across
    ]
    return sorted(points, key=lambda point: _cost(r, point))


def _point(r: Reduction, blocks: int, rows: int, columns: int) -> Point:
    p, width = r.p, columns * pixels(r)
    tiles = -(-p.oh // rows) * -(-p.ow // width)
    read = rows * width * p.sh * p.sw * r.channels
    return Point(blocks, rows, columns, chunk(tiles, -(-r.blocks // blocks), read))


def _cost(r: Reduction, point: Point) -> float:
    """Cycles: a multiplication takes one for each pixel; a load takes half of one for each row."""
    p, registers, m = r.p, point.rows * point.columns, pixels(r)
    tiles = -(-p.oh // point.rows) * -(-p.ow // (point.columns * m))
    tiles *= -(-r.blocks // point.blocks)
    multiply = registers * point.blocks * m
    read = registers * m + point.blocks * TILE
    step = max(multiply, read) + 0.3 * min(multiply, read)
    return tiles * (step * chunks(r).count + 10 * multiply)


@dataclass(frozen=True)
class Kernel:
    """What the loops of one function are made of. `signed` activations are s8."""

    f: Function
    r: Reduction
    point: Point
    image: layout.Image
    weight: Buffer
    out: layout.Image
    epilogue: Epilogue
    operands: tuple[Buffer, ...]

    @property
    def registers(self) -> int:
        """Registers of pixels in a tile."""
        return self.point.rows * self.point.columns

    def emit(self) -> None:
        """All tiles: a task is a chunk of pixel tiles and one channel tile."""
        p, point, f = self.r.p, self.point, self.f
        width = pixels(self.r) * point.columns
        across = -(-p.ow // width)
        tiles = -(-p.oh // point.rows) * across
        parts, groups = -(-tiles // point.chunk), chunks(self.r).packed(point)[0]
        with f.parallel(p.n * parts * groups, "task") as task:
            group, n = task % groups, task // (groups * parts)
            first = f.let(task // groups % parts * point.chunk)
            self._configure()
            sums = f.scratch("sums", (self.registers * point.blocks * TILE * TILE,), "int32")
            with f.serial(tirx.min(tiles - first, point.chunk), "tile") as t:
                tile = first + t
                y = f.let(tirx.min(tile // across * point.rows, p.oh - point.rows))
                x = f.let(tirx.max(tirx.min(tile % across * width, p.ow - width), 0))
                self._tile(sums, n, group, y, x)
            f.evaluate(_amx("tilerelease"))

    def walk(self, n: Expr, rows: Expr) -> None:
        """All tiles of the first `rows` rows of image `n`, within a task."""
        f, p, point = self.f, self.r.p, self.point
        width = pixels(self.r) * point.columns
        across = -(-p.ow // width)
        tiles = (rows + point.rows - 1) // point.rows * across
        self._configure()
        sums = f.scratch("sums", (self.registers * point.blocks * TILE * TILE,), "int32")
        groups = chunks(self.r).packed(point)[0]
        with f.serial(groups, "group") as group, f.serial(tiles, "tile") as tile:
            y = f.let(tirx.min(tile // across * point.rows, rows - point.rows))
            x = f.let(tirx.max(tirx.min(tile % across * width, p.ow - width), 0))
            self._tile(sums, n, group, y, x)
        f.evaluate(_amx("tilerelease"))

    def _configure(self) -> None:
        """Registers: sums first, then pixels, then weights."""
        size, m = chunks(self.r).size, pixels(self.r)
        kinds = [self._kind(i) for i in range(8)]
        shape = {"sum": (m, DEEP), "pixels": (m, size), "weights": (size // WORD, DEEP)}
        layout_ = np.zeros(64, np.uint8)
        layout_[0] = 1  # palette
        layout_[16:32] = np.array([shape[k][1] for k in kinds], np.uint16).view(np.uint8)
        layout_[48:56] = [shape[k][0] for k in kinds]
        config = self.f.local("config", (TILE,), "int32")
        for i, word in enumerate(layout_.view(np.int32)):
            self.f.store(config, tirx.const(int(word), "int32"), (i,))
        self.f.evaluate(_amx("ldtilecfg", _address(config, (0,))))

    def _kind(self, register: int) -> str:
        count = self.registers * self.point.blocks
        if register < count:
            return "sum"
        return "pixels" if register < count + self._pixel_registers else "weights"

    @property
    def _pixel_registers(self) -> int:
        """One operand is held, the other rotates through what is left."""
        left = 8 - self.registers * self.point.blocks
        if self.registers <= self.point.blocks:
            return self.registers
        return left - self.point.blocks

    def _tile(self, sums: Buffer, n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        f, point, p = self.f, self.point, self.r.p
        count = self.registers * point.blocks
        for i in range(count):
            f.evaluate(_amx("tilezero", _number(i)))
        self._reduce(n, group, y, x)
        for i in range(count):
            address = _address(sums, (i * TILE * TILE,))
            f.evaluate(_amx("tilestored64", _number(i), address, _stride(DEEP)))
        m = pixels(self.r)
        block = f.let(tirx.min(group * point.blocks, self.r.blocks - point.blocks))
        for i in range(count):
            (r, c), b = divmod(i // point.blocks, point.columns), i % point.blocks
            with f.serial(m, "pixel") as pixel:
                acc = f.local("acc", (LANES,), "int32")
                first = i * TILE * TILE + pixel * TILE
                f.store(acc, load(sums, (first,), LANES), (0,), LANES)
                column = tirx.min(x + c * m, p.ow - m) + pixel
                index = self.out.at(n, y + r, column, (block + b) * LANES)
                layout.finish(f, self.epilogue, acc, self.out, index, self.operands)

    def _reduce(self, n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        f, pieces = self.f, chunks(self.r)
        kh, kw = pieces.taps
        count = len(pieces.offsets)
        with f.serial(kh, "ky") as ky, f.serial(kw, "kx") as kx, f.serial(count, "k") as k:
            step = (ky * kw + kx) * count + k
            offset = f.let(tirx.min(k * DEEP, pieces.offsets[-1]))
            self._step((n, y, x), (ky, kx, offset), (group, step))

    def _step(
        self, at: tuple[Expr, Expr, Expr], tap: tuple[Expr, Expr, Expr], step: tuple[Expr, Expr]
    ) -> None:
        blocks, registers = self.point.blocks, self.registers
        base = registers * blocks
        held = self._pixel_registers
        rotating = 8 - base - held
        instruction = "tdpbssd" if self.image.dtype == "int8" else "tdpbusd"
        for i in range(registers):
            a = base + i % held
            self._load_pixels(a, i, at, tap)
            for b in range(blocks):
                w = base + held + b % rotating
                if i == 0 or rotating < blocks:
                    self._load_weights(w, b, step)
                numbers = (_number(i * blocks + b), _number(a), _number(w))
                self.f.evaluate(_amx(instruction, *numbers))

    def _load_pixels(
        self, register: int, i: int, at: tuple[Expr, Expr, Expr], tap: tuple[Expr, Expr, Expr]
    ) -> None:
        p, (n, y, x), (ky, kx, offset) = self.r.p, at, tap
        r, c = divmod(i, self.point.columns)
        m = pixels(self.r)
        column = tirx.min(x + c * m, p.ow - m) * p.sw + kx * p.dw
        index = self.image.at(n, (y + r) * p.sh + ky * p.dh, column, offset)
        address = _address(self.image.buffer, index)
        stride = _stride(p.sw * self.r.channels)
        self.f.evaluate(_amx("tileloadd64", _number(register), address, stride))

    def _load_weights(self, register: int, block: int, step: tuple[Expr, Expr]) -> None:
        address = _address(self.weight, (*step, block, 0, 0))
        self.f.evaluate(_amx("tileloadd64", _number(register), address, _stride(DEEP)))


def _amx(name: str, *arguments: Expr) -> Expr:
    return tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *arguments)


def _number(register: int) -> Expr:
    return tirx.const(register, "uint8")


def _stride(size: int) -> Expr:
    return tirx.const(size, "int64")


def _address(buffer: Buffer, index: tuple[Expr, ...]) -> Expr:
    return tirx.address_of(tirx.BufferLoad(buffer, list(index)))
