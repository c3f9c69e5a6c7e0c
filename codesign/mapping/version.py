"""The version of a kernel's code: a hash of the sources it is made of.

What was measured of a kernel holds as long as its code. Sources are the module of the kernel's
class and what that imports from the same package of targets, again and again.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from codesign.mapping.kernel import Kernel

DIGITS = 12


def kernel_version(kernel: Kernel) -> str:
    """Twelve digits that change with any source that `kernel` is made of."""
    return _version(type(kernel).__module__)


@cache
def _version(module: str) -> str:
    package = module.rpartition(".")[0].rpartition(".")[0] or module
    found: set[str] = set()
    _gather(module, package, found)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + _source(name))
    return digest.hexdigest()[:DIGITS]


def _gather(module: str, package: str, found: set[str]) -> None:
    """Add `module` and everything of `package` that it imports to `found`."""
    if module in found:
        return
    found.add(module)
    for name in _imports(module):
        if name.startswith(f"{package}."):
            _gather(name, package, found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """The modules that `module` imports, of those that have a source."""
    names: list[str] = []
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    top = module.partition(".")[0]
    return tuple(n for n in names if n.partition(".")[0] == top and _path(n) is not None)


def _source(module: str) -> bytes:
    path = _path(module)
    return b"" if path is None else path.read_bytes()


@cache
def _path(module: str) -> Path | None:
    """The source file of `module`, None if there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None
