"""Winograd's minimal filtering as 1-D and 2-D transforms of vectors in registers.

F(m x m, 3 x 3) computes m x m outputs from a patch of (m+2) x (m+2) inputs with (m+2)^2 products
instead of 9 m^2: y = A^T [(G g G^T) * (B^T d B)] A (Winograd, "Arithmetic Complexity of
Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
eq. 8). The matrices follow from interpolation points 0, infinity and pairs +-p by the Cook-Toom
construction (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution
for Deep Neural Networks", ACM TOMS 2020, section 2). All scale factors are put into A^T, where
they cost nothing.

The pairs are +-1 for m = 2, and +-sqrt(1/2), +-sqrt(2) for m = 4: that is four times more accurate
than the usual +-1, +-2, since entries stay within 1/2 and 5/2, and costs as many operations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from codesign.targets.tvm.tir import Expr, Function, multiply_add, splat

TAPS = 3
ERROR = {2: 4e-6, 4: 2e-5}  # bound of the error by m, relative to the largest |output|
_PAIRS = {2: (1.0,), 4: (sqrt(0.5), sqrt(2.0))}

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Scheme:
    """F(m x m, 3 x 3) for m = 2 or 4. Evaluation points are in the order 0, p1, -p1, ..., inf."""

    m: int

    @property
    def size(self) -> int:
        """Width of an input patch, and number of points."""
        return self.m + TAPS - 1

    @property
    def pairs(self) -> tuple[float, ...]:
        """The p of the points +-p."""
        return _PAIRS[self.m]

    def others(self, pair: int) -> list[float]:
        """Coefficients, lowest first, of the product of (z - q^2) over all pairs but `pair`."""
        roots = [q * q for i, q in enumerate(self.pairs) if i != pair]
        return [float(c) for c in np.polynomial.polynomial.polyfromroots(roots)]

    def scales(self) -> list[float]:
        """What the products at 0 and at each pair are divided by, inverted."""
        at_zero = prod(-q * q for q in self.pairs)
        at_pair = [
            2 * p * p * prod(p * p - q * q for j, q in enumerate(self.pairs) if j != i)
            for i, p in enumerate(self.pairs)
        ]
        return [1 / n for n in (at_zero, *at_pair)]


def matrices(scheme: Scheme) -> tuple[Matrix, Matrix, Matrix]:
    """B^T [size, size], G [size, 3], A^T [m, size], by running the transforms on unit vectors."""
    results = []
    for transform, width in (
        (transform_data, scheme.size),
        (transform_weight, TAPS),
        (transform_product, scheme.size),
    ):
        columns = [
            transform(scheme, _Numbers(), list(unit)) for unit in np.eye(width, dtype=np.float64)
        ]
        results.append(np.array(columns, np.float64).T)
    return results[0], results[1], results[2]


class Arithmetic:
    """Sums of scaled vectors, each bound to a name so that it is computed once."""

    def __init__(self, f: Function, lanes: int) -> None:
        self.f, self.lanes = f, lanes

    def sum(self, terms: Sequence[tuple[float, Expr]]) -> Expr:
        """The sum of coefficient times vector: one multiply-add a term after the first."""
        ordered = sorted(terms, key=lambda term: term[0] != 1)
        (first, value), *rest = ordered
        total = value if first == 1 else value * self.constant(first)
        for coefficient, value in rest:
            if abs(coefficient) == 1:
                total = total + value if coefficient == 1 else total - value
            else:
                total = multiply_add(value, self.constant(coefficient), total)
        return self.name(total)

    def name(self, value: Expr) -> Expr:
        """Bind a vector."""
        dtype = "float32" if self.lanes == 1 else f"float32x{self.lanes}"
        return self.f.let(value, "v", dtype)

    def constant(self, value: float) -> Expr:
        """A vector of one number."""
        return splat(float(value), self.lanes)


class _Numbers(Arithmetic):
    """The same on plain numbers."""

    def __init__(self) -> None:
        pass

    def sum(self, terms: Sequence[tuple[float, Expr]]) -> Expr:
        return sum(coefficient * value for coefficient, value in terms)


def transform_data(scheme: Scheme, a: Arithmetic, d: list[Expr]) -> list[Expr]:
    """B^T d: an even and an odd part for each pair of points, added and subtracted."""
    every = scheme.others(-1)
    found = [a.sum([(c, d[2 * i]) for i, c in enumerate(every)])]
    for pair, p in enumerate(scheme.pairs):
        rest = scheme.others(pair)
        even = a.sum([(c, d[2 + 2 * i]) for i, c in enumerate(rest)])
        odd = a.sum([(c, d[1 + 2 * i]) for i, c in enumerate(rest)])
        found += [a.sum([(1, even), (p, odd)]), a.sum([(1, even), (-p, odd)])]
    return [*found, a.sum([(c, d[1 + 2 * i]) for i, c in enumerate(every)])]


def transform_weight(scheme: Scheme, a: Arithmetic, g: list[Expr]) -> list[Expr]:
    """G g: the polynomial of the taps at each point, not divided by anything."""
    found = [g[0]]
    for p in scheme.pairs:
        even = a.sum([(1, g[0]), (p * p, g[2])])
        found += [a.sum([(1, even), (p, g[1])]), a.sum([(1, even), (-p, g[1])])]
    return [*found, g[2]]


def weight_row(scheme: Scheme, a: Arithmetic, point: int, g: list[list[Expr]]) -> list[Expr]:
    """Row `point` of G g G^T for the square g, made of no more than what it needs."""
    if point in (0, scheme.size - 1):
        taps = g[0 if point == 0 else TAPS - 1]
        return transform_weight(scheme, a, taps)
    pair, minus = divmod(point - 1, 2)
    p = scheme.pairs[pair] * (-1 if minus else 1)
    return transform_weight(
        scheme, a, [a.sum([(1, x), (p, y), (p * p, z)]) for x, y, z in zip(*g, strict=True)]
    )


def transform_product(scheme: Scheme, a: Arithmetic, m: list[Expr]) -> list[Expr]:
    """A^T m: row i is the sum of the scaled products times the i-th power of their point."""
    zero, *scales = scheme.scales()
    pairs = [(m[1 + 2 * i], m[2 + 2 * i]) for i in range(len(scales))]
    parts = (
        [a.sum([(1, x), (1, y)]) for x, y in pairs],
        [a.sum([(1, x), (-1, y)]) for x, y in pairs],
    )
    found = []
    for row in range(scheme.m):
        factors = [s * p**row for s, p in zip(scales, scheme.pairs, strict=True)]
        terms = list(zip(factors, parts[row % 2], strict=True))
        if row == 0:
            terms.insert(0, (zero, m[0]))
        if row == scheme.m - 1:
            terms.insert(0, (1, m[-1]))
        found.append(a.sum(terms))
    return found


Transform = Callable[[Scheme, Arithmetic, list[Expr]], list[Expr]]


def transform_2d(
    one: Transform, scheme: Scheme, a: Arithmetic, rows: list[list[Expr]]
) -> list[list[Expr]]:
    """T x T^T of a square x of vectors: `one` down the columns, then along the rows."""
    columns = [one(scheme, a, list(column)) for column in zip(*rows, strict=True)]
    return [one(scheme, a, list(row)) for row in zip(*columns, strict=True)]
