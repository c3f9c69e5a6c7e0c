"""Running what may fail on a broken model, so that every failure names its node."""

from collections.abc import Sequence

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto

from codesign.errors import (
    CodesignError,
    InvalidModelError,
    UnsupportedModelError,
    VerificationError,
)
from codesign.frontends.onnx.call import Call, Converter, NotConstantError
from codesign.frontends.onnx.emit import TORCH_ERRORS
from codesign.frontends.onnx.functions import standard_body
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value

# What converters and inference raise on operands that no valid model has, beside our own errors.
MALFORMED = (*TORCH_ERRORS, AssertionError, AttributeError, KeyError, ZeroDivisionError)


def function_body(call: Call, schema: onnx.defs.OpSchema) -> FunctionProto | None:
    """The standard's function for a node that has no converter, if it can be had."""
    if any(a.type == AttributeProto.GRAPH for a in call.node.attribute):
        return None
    try:
        return standard_body(call.node, schema, call.inputs, call.version)
    except (DecodeError, *MALFORMED) as error:
        raise call.refuse(f"its standard function cannot be built: {error}") from None


def guarded(call: Call, convert: Converter) -> Value | Sequence[Value | None]:
    """Run a converter; what it cannot take becomes an InvalidModelError that names the node."""
    try:
        made = convert(call)
        call.finish()
        return made
    except VerificationError as error:
        raise InvalidModelError(f"{describe(call.node)} cannot be imported: {error}") from None
    except CodesignError as error:
        raise _named(call, error) from None
    except MALFORMED as error:
        kind, shapes = type(error).__name__, [str(v.type) if v else "none" for v in call.inputs]
        raise InvalidModelError(
            f"{describe(call.node)} is malformed: its inputs {shapes[:8]} and attributes do not "
            f"fit together ({kind}: {str(error).splitlines()[0] if str(error) else ''})"
        ) from None


def _named(call: Call, error: CodesignError) -> CodesignError:
    """`error` with the node in its message, if it is not there yet."""
    here = describe(call.node)
    if (
        isinstance(error, NotConstantError)
        or here in str(error)
        or not isinstance(error, UnsupportedModelError | InvalidModelError)
    ):
        return error
    return type(error)(f"{here} (operator {call.node.op_type}): {error}")
