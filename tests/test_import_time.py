"""What imports load: neither torch nor tvm nor onnx until something needs them."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "tvm", "tvm_ffi", "onnx", "onnxruntime", "networkx", "scipy")

LOAD_EVERYTHING = """
import importlib, pkgutil
import codesign.ir
for found in pkgutil.walk_packages(codesign.ir.__path__, "codesign.ir."):
    importlib.import_module(found.name)
"""


def loaded(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after running `code`."""
    report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import codesign",
        LOAD_EVERYTHING,
        "import codesign.rewrite.edit",
        "import codesign.errors, codesign.spec, codesign.plugins",
    ],
    ids=["codesign", "codesign.ir", "codesign.rewrite.edit", "codesign.plugins"],
)
def test_light_imports(code: str) -> None:
    modules = loaded(code)
    assert "codesign" in modules
    assert modules.isdisjoint(HEAVY)


def test_errors_need_nothing() -> None:
    assert "numpy" not in loaded("import codesign.errors")
