"""Reading an ONNX file, with every way in which it can be broken said in one sentence."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from codesign.errors import InvalidModelError, UnsupportedModelError, UsageError
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.texts import check_texts

OLDEST_OPSET = 7  # numpy broadcasting; 9 is what is promised, 7 and 8 differ little
PROTOBUF_LIMIT = (1 << 31) - 1


def load_model(source: str | Path | onnx.ModelProto) -> tuple[onnx.ModelProto, Path | None]:
    """The decoded model and the folder that its external data may lie in, None without a file.

    UsageError if the file cannot be read, InvalidModelError if it is no ONNX model.
    """
    if isinstance(source, onnx.ModelProto):
        check_header(source, "the model")
        return source, None
    path = Path(source)
    model = decode_model(read_bytes(path), str(path))
    return model, path.resolve().parent


def read_bytes(path: Path) -> bytes:
    """The content of `path`, which must be a file of at most 2 GiB."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UsageError(f"{path} is not a file; expected an .onnx file")
        if size > PROTOBUF_LIMIT:
            raise InvalidModelError(
                f"{path} is {size} bytes, more than the 2 GiB that protobuf can hold; "
                "store the weights as external data"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read model {str(path)!r}: {error}") from None


def decode_model(content: bytes, where: str) -> onnx.ModelProto:
    """Decode `content`; InvalidModelError that names `where` if it is not a whole ONNX model."""
    if not content:
        raise InvalidModelError(f"{where} is empty; expected an ONNX model")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError, ValueError):
        raise InvalidModelError(
            f"{where} is not an ONNX model, or is truncated: its {len(content)} bytes do not "
            "decode as a ModelProto; check that the file was copied completely"
        ) from None
    check_header(model, where)
    return model


def check_header(model: onnx.ModelProto, where: str) -> None:
    """Raise unless `model` has a graph and imports an operator set that is known here."""
    if not model.HasField("graph") or not model.opset_import:
        raise InvalidModelError(
            f"{where} is not an ONNX model: it has no graph or imports no operator set"
        )
    check_texts(model, where)
    opsets(model)


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Version of each imported operator domain; UnsupportedModelError outside the known ones."""
    found = {normal_domain(entry.domain): entry.version for entry in model.opset_import}
    newest, version = onnx.defs.onnx_opset_version(), found.get("")
    if version is not None and not OLDEST_OPSET <= version <= newest:
        first = next((f"; its first node is {describe(node)}" for node in model.graph.node), "")
        raise UnsupportedModelError(
            f"the model uses ONNX operator set {version}; supported are 9 to {newest}{first}. "
            "Convert it with onnx.version_converter"
        )
    return found


def normal_domain(domain: str) -> str:
    """The domain with the standard one spelled as the empty string."""
    return "" if domain == "ai.onnx" else domain
