"""`codesign sensitivity`: what each layer loses and costs at each pair of widths."""

from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.asked import Asked, asking
from codesign.cli.output import console, result, settings
from codesign.cli.progress import progress
from codesign.cli.tables import count, decibel, ms, show_table, size

if TYPE_CHECKING:
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
    recipe run first. This is what the pass assign-bits chooses by.
    """
    from codesign import plugins
    from codesign.compiler import run_passes

    step = plugins.make("pass", "assign-bits", {"measure": measure, "probes": samples})
    with progress("sensitivity") as report:
        work = asked.job(report)
        work.context.check(step.needs, "sensitivity")
        found: Table = step.sensitivities(run_passes(work.unscheduled()), work.context)
    if settings.json:
        head = {"model": work.program.graph.name, "target": work.target.spec, "measure": measure}
        result({**head, "rows": found.json()})
    else:
        show_sensitivities(found, f"{work.program.graph.name} on {work.target.spec}")


def show_sensitivities(found: "Table", title: str) -> None:
    """A row a layer and pair of widths."""
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
    console().print(f"{layers} layers whose widths are open; the rest of the network in float")
