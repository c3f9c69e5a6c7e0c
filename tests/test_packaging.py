"""What a wheel and a source distribution hold: everything that the tree does."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("codesign", "passes", "targets")
FILES = ("pyproject.toml", "README.md", "LICENSE")
SUFFIXES = {".py", ".toml", ".npz", ".safetensors", ".json", ".typed"}
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"


def expected() -> set[str]:
    """Every source and data file as it is imported, through the links."""
    found = set()
    for part in PARTS:
        prefix = Path("codesign") if part == "codesign" else Path("codesign", part)
        for path in (ROOT / part).rglob("*"):
            if path.is_file() and (path.suffix in SUFFIXES or path.name == "py.typed"):
                found.add(str(prefix / path.relative_to(ROOT / part)))
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """Names in a source distribution, and in the wheel made from it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for part in PARTS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignore)
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    build("sdist", source, out)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    shutil.unpack_archive(archive, out / "unpacked")
    (unpacked,) = (out / "unpacked").iterdir()
    build("wheel", unpacked, out)
    (wheel,) = out.glob("*.whl")
    return names, set(zipfile.ZipFile(wheel).namelist())


def build(kind: str, folder: Path, out: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(out)], cwd=folder, check=True, capture_output=True
    )


def test_links_stand_where_the_packages_are_imported() -> None:
    for part in ("passes", "targets"):
        assert (ROOT / "codesign" / part).is_symlink()
        assert (ROOT / "codesign" / part).resolve() == (ROOT / part).resolve()


def test_source_distribution_and_the_wheel_made_from_it_are_complete(
    built: tuple[set[str], set[str]],
) -> None:
    sdist, wheel = built
    assert expected() - sdist == set()
    assert expected() - wheel == set()


def test_wheel_holds_the_licence_the_command_and_the_demo(
    built: tuple[set[str], set[str]],
) -> None:
    _, wheel = built
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert any(name.endswith("entry_points.txt") for name in wheel)
    assert {"codesign/py.typed", "codesign/demo/README.md"} <= wheel
    assert not any(name.startswith(("tests", "benchmarks", "passes", "targets")) for name in wheel)
