"""What concerns all layers of a placed program at once: the design, and how it is folded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from codesign.errors import RefusedError
from codesign.ir.program import Program
from codesign.targets.xnor.area import Area, design_area
from codesign.targets.xnor.design import check_fold, make_design
from codesign.targets.xnor.engine import Design
from codesign.targets.xnor.fold import fullness, search, unfit
from codesign.targets.xnor.folding import read_folding
from codesign.targets.xnor.kernel import MatrixUnit, from_point, no_room
from codesign.targets.xnor.layer import Fold, Layer, layer_of
from codesign.targets.xnor.timing import goal, sized

if TYPE_CHECKING:
    from codesign.targets.xnor.compute import Computer
    from codesign.targets.xnor.target import Finn

STEPS = 4  # of the device's room that FIFOs may be found to need once it is folded


def plain_design(placed: Program, target: "Finn") -> Design:
    """Engines and streams of a placed program, FIFOs of the least depth."""
    return make_design(placed.graph, target.stages(placed), folds_of(placed), target.board.port)


def folds_of(placed: Program) -> dict[str, Fold]:
    """The folding of each layer, as its assignment has it."""
    return {
        a.nodes[0]: from_point(a.point) for a in placed.placement if a.kernel == MatrixUnit.name
    }


def computers(placed: Program, target: "Finn") -> dict[str, "Computer"]:
    """What computes each stage, with what its engines hold."""
    from codesign.targets.xnor.compute import Computer
    from codesign.targets.xnor.content import contents

    graph, folds, chosen = placed.graph, folds_of(placed), target.stages(placed)
    held = contents(graph, chosen, folds)
    names = {stage.anchor.name: stage for stage in chosen}
    return {n: Computer(graph, s, folds.get(n), held.get(n)) for n, s in names.items()}


def layers_of(placed: Program, target: "Finn") -> list[Layer]:
    """The layers, in order."""
    return [layer_of(placed.graph, s) for s in target.stages(placed) if s.kind == "layer"]


def folded(placed: Program, target: "Finn") -> Mapping[str, Fold]:
    """The folding of each layer: the user's, or the best that fits; RefusedError if none does."""
    layers, stages, device = layers_of(placed, target), target.stages(placed), target.board
    if not layers:
        return {}

    def made(folds: Mapping[str, Fold]) -> Design:
        return make_design(placed.graph, stages, folds, device.port)

    def whole(folds: Mapping[str, Fold]) -> tuple[int, Area]:
        design = made(folds)
        return goal(design), design_area(design)

    if target.folding:
        given = read_folding(target.folding, layers)
        for layer in layers:
            check_fold(layer, given[layer.name])
        _check(f"folding {target.folding}", design_area(sized(made(given))), target)
        return given
    least = device.clock / target.rate if target.rate else 0.0
    found, shrunk = search(layers, device, whole, least), device
    for _ in range(STEPS):
        if isinstance(found, list):
            why = no_room(f"{placed.graph.name} in its smallest folding", found, device)
            raise RefusedError(str(why))
        if not unfit(taken := design_area(sized(made(found))), device):
            break
        shrunk = shrunk.scaled(0.98 / fullness(taken, shrunk))
        found = search(layers, shrunk, whole, least)
    assert not isinstance(found, list)
    _check(placed.graph.name, design_area(sized(made(found))), target)
    _check_rate(whole(found)[0], target)
    return found


def _check(what: str, taken: Area, target: "Finn") -> None:
    why = no_room(what, unfit(taken, target.board), target.board)
    if why is not None:
        raise RefusedError(str(why))


def _check_rate(cycles: int, target: "Finn") -> None:
    """RefusedError if the best that fits makes fewer images a second than asked for."""
    have = target.board.clock / cycles
    if target.rate and have < target.rate * (1 - 1e-9):
        raise RefusedError(
            f"{target.rate:g} images/s are asked for, but the fastest folding that fits "
            f"{target.board.name} takes {cycles} cycles for one, {have:g} images/s; ask for less, "
            "or take a larger device or a higher clock (mhz)"
        )
