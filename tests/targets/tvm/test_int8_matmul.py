"""8-bit linear layers against numpy, bit for bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.targets.tvm.epilogue import Epilogue, Operand, identity
from codesign.targets.tvm.isa import isa
from codesign.targets.tvm.kernels import int8_layout, matmul_int8
from codesign.targets.tvm.kernels.matmul_int8 import MatmulShape
from codesign.targets.tvm.tir import load
from tests.targets.tvm import int8_oracle as oracle


def operands(shape: MatmulShape, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logical activations and weights, and the activations as they lie in memory."""
    random = np.random.default_rng(seed)
    q = oracle.codes(random, (shape.m, shape.k), bool(seed % 3 == 0)).view(shape.element)
    x = np.full((shape.m, int8_layout.channels(shape.k)), 99).astype(shape.element)
    x[:, : shape.k] = q
    return q, oracle.weights(random, (shape.n, shape.k), bool(seed % 2)), x


@settings(deadline=None, max_examples=8)
@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 200),
    st.sampled_from(["uint8", "int8"]),
    st.integers(0, 99),
)
def test_any_product(m: int, n: int, k: int, element: str, seed: int) -> None:
    shape, target = (
        MatmulShape(m, n, k, element),
        isa(oracle.runnable()[seed % len(oracle.runnable())]),
    )
    q, w, x = operands(shape, seed)
    point = matmul_int8.default(shape, target)
    func = matmul_int8.emit("kernel", shape, target, point, identity("int32"))
    out = np.zeros((m, int8_layout.channels(n)), np.int32)
    packed = matmul_int8.pack_weight(w, shape, target, point)
    got = oracle.call(func, target, x, packed, out)
    np.testing.assert_array_equal(got[:, :n], q.astype(np.int32) @ w.T.astype(np.int32))


def test_going_on_in_float() -> None:
    shape, target = MatmulShape(9, 20, 33), isa(oracle.runnable()[0])
    q, w, x = operands(shape, 1)
    scale = np.linspace(0.5, 2, 32).astype(np.float32)

    def apply(acc, index, buffers):  # type: ignore[no-untyped-def]
        return acc.astype("float32") * load(buffers[0], (index[-1],))

    epilogue = Epilogue((Operand("scale", (32,), "float32"),), "float32", apply)
    point = matmul_int8.default(shape, target)
    func = matmul_int8.emit("kernel", shape, target, point, epilogue)
    packed = matmul_int8.pack_weight(w, shape, target, point)
    got = oracle.call(func, target, x, packed, scale, np.zeros((9, 32), np.float32))
    want = (q.astype(np.int32) @ w.T.astype(np.int32)).astype(np.float32) * scale[:20]
    np.testing.assert_array_equal(got[:, :20], want)
