from dataclasses import fields, is_dataclass

import pytest

from codesign.ir.op import Op
from codesign.ir.ops import CLASSES, OPS
from codesign.ir.text import print_literal

FIELDS = (int, float, bool, str, tuple)


def test_kinds_are_unique() -> None:
    assert len(OPS) == len(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.kind)
def test_every_op_is_frozen_documented_and_has_defaults(cls: type[Op]) -> None:
    op = cls()
    assert is_dataclass(op) and hash(op) == hash(cls())
    assert cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(")
    for f in fields(op):
        assert isinstance(getattr(op, f.name), FIELDS)
        assert print_literal(getattr(op, f.name))
    assert all(role[-1] != "*" or i == len(op.roles) - 1 for i, role in enumerate(op.roles))
