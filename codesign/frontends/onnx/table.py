"""Every ONNX operator that has a converter."""

from codesign.frontends.onnx.call import Converter, Table
from codesign.frontends.onnx.families import (
    activation,
    arithmetic,
    control,
    convolution,
    generate,
    join,
    linear,
    norm,
    qonnx,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
)

FAMILIES = (
    activation,
    arithmetic,
    control,
    convolution,
    generate,
    join,
    linear,
    norm,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
)
TABLE: Table = {name: rules for family in FAMILIES for name, rules in family.TABLE.items()}


def converter(domain: str, operator: str, version: int) -> Converter | None:
    """The converter of `operator` for a model that imports `version` of `domain`, or None."""
    table = TABLE if not domain else qonnx.TABLE if domain in qonnx.DOMAINS else {}
    rules = table.get(operator, {})
    fitting = [since for since in rules if since <= version]
    return rules[max(fitting)] if fitting else None
