"""A hardware-software co-design compiler for neural networks.

    import codesign as cd
    compiled = cd.compile("model.onnx", target="cpu")
    compiled(x); compiled.report; compiled.save("out/"); cd.open("out/")(x)

The names below are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.compiler import compile_model as compile  # noqa: A004
    from codesign.compiler import estimate_model as estimate
    from codesign.model import load
    from codesign.runtime.artifact import open_artifact as open  # noqa: A004
    from codesign.runtime.compiled import Compiled

    __version__: str

_PUBLIC = {
    "Compiled": ("codesign.runtime.compiled", "Compiled"),
    "compile": ("codesign.compiler", "compile_model"),
    "estimate": ("codesign.compiler", "estimate_model"),
    "load": ("codesign.model", "load"),
    "open": ("codesign.runtime.artifact", "open_artifact"),
}

__all__ = ["Compiled", "compile", "estimate", "load", "open"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("codesign")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'codesign' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *_PUBLIC, "__version__"})
