"""Foldings that a user gives, in a TOML or JSON file.

A table for each layer by its name: PE, SIMD and, if wanted, ram_style (block or distributed; auto:
as is cheaper). Files of FINN's own are read too: their `MVAU...`, `MatrixVectorActivation...` and
`StreamingFCLayer...` nodes are the layers in order, by the number at the end; other nodes are left.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codesign.errors import UnknownNameError, UsageError
from codesign.targets.xnor.engine import Style
from codesign.targets.xnor.fold import STYLES, option
from codesign.targets.xnor.layer import Fold, Layer

FINN = re.compile(r"(?:MVAU|MatrixVectorActivation|StreamingFCLayer)\w*?_(\d+)")
OTHERS = re.compile(r"Defaults|[A-Z]\w*_\d+")
KEYS = ("PE", "SIMD", "ram_style")


def read_folding(path: str, layers: Sequence[Layer]) -> Mapping[str, Fold]:
    """The folding of every layer; UsageError, naming file, layer and key, if the file lacks it."""
    content = _content(Path(path))
    names = [layer.name for layer in layers]
    given: dict[str, Any] = {}
    for key, value in content.items():
        ordinal = FINN.fullmatch(key)
        if key in names:
            given[key] = value
        elif ordinal is not None and int(ordinal[1]) < len(names):
            given[names[int(ordinal[1])]] = value
        elif ordinal is not None or not OTHERS.fullmatch(key):
            raise UnknownNameError(f"layer in folding {path}:", key, names)
    lacking = [name for name in names if name not in given]
    if lacking:
        raise UsageError(
            f"folding {path} lacks {', '.join(lacking)}; every layer needs PE and SIMD"
        )
    return {layer.name: _fold(layer, given[layer.name], path) for layer in layers}


def _content(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise UsageError(f"folding {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise UsageError(f"folding {path} is no {kind}: {error}") from None
    if not isinstance(found, Mapping):
        raise UsageError(f"folding {path} is a {type(found).__name__}, expected a table by layer")
    return found


def _fold(layer: Layer, given: object, path: str) -> Fold:
    where = f"folding {path}: {layer.name}"
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} is {given!r}, expected PE and SIMD")
    if given.keys() <= {"PE", "SIMD", "ram_style", "mem_mode", "resType", "runtime_writeable"}:
        pe, simd, style = (given.get(key) for key in KEYS)
    else:
        strange = sorted(str(key) for key in given.keys() - set(KEYS))
        raise UnknownNameError(f"key of {where}:", strange[0], KEYS)
    for key, value in (("PE", pe), ("SIMD", simd)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"{where}: {key} is {value!r}, expected a whole number from 1")
    if style not in (None, "auto", "ultra", *STYLES):
        raise UsageError(f"{where}: ram_style is {style!r}, expected block, distributed or auto")
    assert isinstance(pe, int) and isinstance(simd, int)
    return Fold(pe, simd, style if style in STYLES else cheaper(layer, pe, simd))


def cheaper(layer: Layer, pe: int, simd: int) -> Style:
    """Blocks for weights that fill them by half or more, else LUTs."""
    if layer.rows % pe or layer.columns % simd:
        return "distributed"
    blocks = option(layer, Fold(pe, simd, "block")).area.bram18
    luts = option(layer, Fold(pe, simd, "distributed")).area.bram18
    weights = layer.rows * layer.columns * layer.weight_bits
    return "block" if 2 * weights > (blocks - luts) * 18432 else "distributed"
