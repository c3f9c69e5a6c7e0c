"""`codesign check`: per op, the kernel that takes it or why none does."""

from typing import TYPE_CHECKING

import typer

from codesign.cli.asked import Asked, asking
from codesign.cli.output import console, result, settings
from codesign.cli.tables import show_table
from codesign.errors import UnsupportedModelError

if TYPE_CHECKING:
    from codesign.mapping.check import Verdict


@asking
def check_verb(asked: Asked) -> None:
    """Tell for each op of MODEL which kernel takes it, or why none does and what would help.

    The passes of the recipe run first, so that the verdict is about what would be compiled. On
    targets that take no floats it names the layers that have no codes.
    """
    from codesign.compiler import run_passes
    from codesign.mapping.check import check
    from codesign.passes.quantize.left import without_codes

    work = asked.job()
    program = run_passes(work.unscheduled())
    verdicts = check(program, work.target)
    mapped = set() if work.target.floats else {v.node for v in verdicts if v.supported}
    never, open_ = without_codes(program.graph, mapped)
    show_verdicts(verdicts, work.program.graph.name, work.target.spec, never, open_)
    if not all(verdict.supported for verdict in verdicts):
        raise typer.Exit(UnsupportedModelError.exit_code)


def show_verdicts(
    verdicts: "list[Verdict]", name: str, target: str, never: list[str], open_: list[str]
) -> None:
    """A row an op, each refusal of what is unsupported, layers that cannot be compiled as floats.

    These are none where the target takes floats; else `never` are without codes whatever is done,
    `open_` as long as no pass gives them any.
    """
    bad = [verdict for verdict in verdicts if not verdict.supported]
    if settings.json:
        ops = [verdict.json() for verdict in verdicts]
        floats = {"never": never, "need_calibration": open_}
        result(
            {"model": name, "target": target, "supported": not bad, "in_float": floats, "ops": ops}
        )
        return
    if settings.verbose or not bad:
        show_table(
            f"{name} on {target}",
            (
                ("op", lambda v: f"%{v.node}"),
                ("kind", lambda v: v.kind),
                ("kernel", lambda v: v.kernel or "none"),
                ("fused into", lambda v: f"%{v.group}" if v.group != v.node else ""),
            ),
            verdicts,
            left=4,
        )
    out = console()
    for verdict in verdicts:
        if settings.verbose or not verdict.supported:
            show_refusals(verdict)
    out.print(f"{len(verdicts) - len(bad)} of {len(verdicts)} ops have a kernel on {target}")
    if never:
        out.print(
            f"in float, and cannot be compiled, as {target} takes no floats (`codesign estimate` "
            f"prices them as its widest codes): {', '.join(never)}",
            markup=False,
        )
    if open_:
        out.print(
            "in float, and compiled only once they have codes, which --calibration with "
            f"assign-bits gives them: {', '.join(open_)}",
            markup=False,
        )


def show_refusals(verdict: "Verdict") -> None:
    """Each kernel's refusal of an op, and its remedy."""
    out = console()
    if not verdict.supported:
        out.print(f"unsupported: {verdict.kind} %{verdict.node}", markup=False)
        if not verdict.refusals:
            out.print(f"  no kernel starts with {verdict.kind}", markup=False)
    for kernel, refusal in verdict.refusals.items():
        out.print(f"  %{verdict.node}: {kernel}: {refusal}", markup=False)
