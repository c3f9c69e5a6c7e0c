"""`codesign sensitivity`: what each layer loses and costs at each pair of widths."""

from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.asked import Asked, asking
from codesign.cli.output import console, result, settings
from codesign.cli.progress import progress
from codesign.cli.tables import count, decibel, ms, show_table, size

if TYPE_CHECKING:
    from codesign.ir.graph import Graph
    from codesign.passes.quantize.sensitivity import Table

Measure = Annotated[
    str,
    typer.Option(
        help="How errors are found: by the output itself, or by the trace of the hessian."
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="Calibration samples to measure errors on.")]


@asking
def sensitivity_verb(asked: Asked, measure: Measure = "output", samples: Samples = 8) -> None:
    """Show for each layer and pair of widths that the target offers what it loses and costs.

    SNR is that of the outputs on calibration data with this layer alone in codes. The passes of the
    recipe run first, but for those that give widths. This is what the pass assign-bits chooses by.
    """
    from codesign import plugins
    from codesign.compiler import run_passes

    step = plugins.make("pass", "assign-bits", {"measure": measure, "probes": samples})
    with progress("sensitivity") as report:
        work = asked.job(report)
        work.context.check(step.needs, "sensitivity")
        program = run_passes(work.uncoded())
        found: Table = step.sensitivities(program, work.context)
    coded = in_codes(program.graph)
    if settings.json:
        head = {"model": work.program.graph.name, "target": work.target.spec, "measure": measure}
        result({**head, "in_codes": coded, "rows": found.json()})
    else:
        show_sensitivities(found, f"{work.program.graph.name} on {work.target.spec}", len(coded))


def in_codes(graph: "Graph") -> list[str]:
    """The layers that the model itself has in codes."""
    from codesign.analysis.codes import sums_codes

    return [node.name for node in graph.nodes if sums_codes(node, graph.types)]


def show_sensitivities(found: "Table", title: str, coded: int) -> None:
    """A row a layer and pair of widths; `coded` layers have codes from the model."""
    show_table(
        title,
        (
            ("layer", lambda r: f"%{r.layer}"),
            ("op", lambda r: r.op),
            ("weight bits", lambda r: str(r.weight_bits)),
            ("activation bits", lambda r: str(r.activation_bits)),
            ("SNR", lambda r: decibel(r.snr_db)),
            ("bytes", lambda r: size(r.bytes)),
            ("ms", lambda r: ms(r.latency_ms)),
            ("uJ", lambda r: count(r.energy_uj)),
        ),
        found.rows,
        left=2,
    )
    layers = len({row.layer for row in found.rows})
    rest = f"{coded} layers in the model's own codes, the rest" if coded else "the rest"
    console().print(f"{layers} layers whose widths are open; {rest} of the network in float")
