"""Energies that a machine file leaves to a table."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import MachineError
from codesign.machine.energies import TABLES
from codesign.machine.load import parse_machine
from tests.machine.test_load import SMALL

HOROWITZ = TABLES["horowitz-45nm"]


def test_the_figures_of_the_tables() -> None:
    assert [HOROWITZ.access(8 * n, 64) for n in (8 << 10, 32 << 10, 1 << 20)] == [10, 20, 100]
    assert HOROWITZ.access(inf, 32) == 650
    assert HOROWITZ.mac(8, 8, 32) == pytest.approx(0.3)
    assert HOROWITZ.mac(32, 32, 8) == pytest.approx(3.13)
    assert HOROWITZ.access(8 * (2 << 10), 64) == pytest.approx(5)  # half for a quarter of the size


@pytest.mark.parametrize("name", TABLES)
@given(st.integers(1, 1 << 26), st.integers(1, 1 << 26), st.integers(1, 32), st.integers(1, 32))
def test_more_takes_no_less(name: str, small: int, more: int, bits: int, others: int) -> None:
    table = TABLES[name]
    assert 0 < table.access(small, 8) <= table.access(small + more, 8) * (1 + 1e-12)
    assert table.mac(bits, others, 32) <= table.mac(bits + 1, others, 32) * (1 + 1e-12)


def test_a_table_fills_what_a_file_leaves_open() -> None:
    text = SMALL.replace("[machine]", '[machine]\nenergies = "horowitz-45nm"', 1)
    plain, found = parse_machine(SMALL), parse_machine(text)
    dram, glb, spad = found.memories
    assert (dram, found.datapath) == (plain.memories[0], plain.datapath)  # given there
    assert glb.read == glb.write == pytest.approx(HOROWITZ.access(108 * 8192, 64))
    assert spad.read == pytest.approx(HOROWITZ.access(448 * 8, spad.width))
    free = parse_machine(text.replace('mac = "2 pJ"', ""))
    assert free.datapath.mac == pytest.approx(HOROWITZ.mac(16, 16, 32))


def test_an_unknown_table_is_told() -> None:
    text = SMALL.replace("[machine]", '[machine]\nenergies = "mine"', 1)
    with pytest.raises(MachineError, match=r"machine.energies is 'mine', expected one of horowitz"):
        parse_machine(text)
