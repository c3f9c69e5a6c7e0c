"""Names must be text: protobuf hands out bytes where a string field is not UTF-8."""

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import TensorProto

from codesign.errors import InvalidModelError


def check_texts(message: Message, where: str) -> None:
    """InvalidModelError if any string inside `message` is not UTF-8."""
    for field, value in _strings(message):
        if not isinstance(value, str):
            raise InvalidModelError(
                f"{where} is broken: its {field} {value!r:.60} is not UTF-8 text; check that the "
                "file was copied completely"
            )


def _strings(message: Message) -> Iterator[tuple[str, object]]:
    """Every string of `message` and of the messages in it, tensor contents left alone."""
    if isinstance(message, TensorProto):
        yield "initializer name", message.name
        for entry in message.external_data:
            yield from _strings(entry)
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            name = f"{message.DESCRIPTOR.name}.{field.name}"
            yield from (
                (name, item) for item in ([value] if isinstance(value, str | bytes) else value)
            )
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in [value] if isinstance(value, Message) else value:
                yield from _strings(item)
