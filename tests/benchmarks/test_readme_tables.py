"""Tables in the documents come from committed results."""

import json
from pathlib import Path

import pytest

from benchmarks.readme_tables import documents, fill, main, stale
from codesign.errors import DataError

ROWS = [
    {
        "name": "resnet18 fp32",
        "value": 1.0312,
        "unit": "x",
        "goal": 1.15,
        "sense": "<=",
        "met": True,
        "detail": {"ms": {"codesign": 35.1}},
    },
    {
        "name": "resnet18 int8",
        "value": 1.5,
        "unit": "x",
        "goal": 1.3,
        "sense": "<=",
        "met": False,
        "detail": {},
    },
    {
        "name": "memory",
        "value": 300,
        "unit": "MiB",
        "goal": None,
        "sense": None,
        "met": None,
        "detail": {},
    },
]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "cpu.json").write_text(json.dumps({"rows": ROWS}))
    return tmp_path


def test_every_document_of_the_repository_is_up_to_date() -> None:
    assert stale(documents()) == {}
    assert main(["--check"]) == 0


def test_fills_a_table_with_met_missed_and_unasked_figures(results: Path) -> None:
    text = "before\n<!-- table:cpu -->\nstale\n<!-- /table -->\nafter\n"
    assert fill(text, results) == (
        "before\n"
        "<!-- table:cpu -->\n"
        "| figure | measured | goal | met |\n"
        "| --- | ---: | ---: | :---: |\n"
        "| resnet18 fp32 | 1.031 x | <= 1.15 x | yes |\n"
        "| resnet18 int8 | 1.5 x | <= 1.3 x | **no** |\n"
        "| memory | 300 MiB |  |  |\n"
        "<!-- /table -->\n"
        "after\n"
    )
    assert fill(fill(text, results), results) == fill(text, results)


def test_chooses_rows_and_adds_detail_columns(results: Path) -> None:
    text = "<!-- table:cpu only=fp32 detail=ms.codesign,ms.other -->\n<!-- /table -->"
    assert "| resnet18 fp32 | 1.031 x | <= 1.15 x | yes | 35.1 |  |\n" in fill(text, results)
    assert "int8" not in fill(text, results)


def test_stale_names_the_file_and_its_text(results: Path, tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("<!-- table:cpu -->\nold\n<!-- /table -->\n")
    changed = stale([document], results)
    assert list(changed) == [document]
    document.write_text(changed[document])
    assert stale([document], results) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!-- table:none -->\n<!-- /table -->", r"no .*none\.json"),
        ("<!-- table:cpu colour=red -->\n<!-- /table -->", "unknown option"),
        ("<!-- table:cpu -->\n| a |\n", "1 table markers, 0 of them"),
        ("<!-- table: cpu -->\n<!-- /table -->", "1 table markers, 0 of them"),
    ],
)
def test_refuses_what_it_cannot_fill(text: str, reason: str, results: Path) -> None:
    with pytest.raises(DataError, match=reason):
        fill(text, results)
