"""Why no widths meet what was asked: demand, bound, gap and what would help."""

from codesign.errors import RefusedError
from codesign.passes.quantize.choice import UNITS
from codesign.passes.quantize.plan import Plan
from codesign.passes.quantize.search import Found, Search
from codesign.rewrite.context import Target

NAMED = 3  # layers that a refusal names


def too_noisy(search: Search, floor: float, finest: Found) -> RefusedError:
    """No choice keeps the outputs at `floor` dB; `finest` is what the widest codes reach."""
    best = max((found.snr_db for found in search.tried.values()), default=finest.snr_db)
    worst = ", ".join(f"%{name}" for name in _noisiest(search, finest))
    return RefusedError(
        f"{search.who}: asked is an output signal-to-noise ratio of at least {floor:.2f} dB, but "
        f"the best that the widths of {search.target.spec} reach is {best:.2f} dB, "
        f"{floor - best:.2f} dB short; ask for at most {best:.1f}, leave the layers that lose most "
        f"in float with skip ({worst}), or use a target with wider codes"
    )


def too_dear(search: Search, limit: float, least: Found) -> RefusedError:
    """No choice costs at most `limit`; `least` is the cheapest that may be."""
    unit = UNITS[search.cost]
    return RefusedError(
        f"{search.who}: asked is at most {limit:.4g} {unit}, but the least on "
        f"{search.target.spec} is {least.cost:.4g} {unit} at {least.snr_db:.1f} dB, "
        f"{least.cost - limit:.4g} {unit} over; ask for at least {least.cost * 1.001:.4g}, for a "
        "lower snr, or shrink the network first (factorize-svd, prune-magnitude)"
    )


def unknown_base(
    base: int | str, plan: Plan, target: Target, who: str, snr: float | None
) -> RefusedError:
    """`base` is no width that all layers are offered, or none of these keeps `snr`."""
    offered = [w for w in range(2, 17) if plan.uniform(w) is not None]
    widths = ", ".join(str(width) for width in offered) or "none"
    what = f"keeps {snr} dB" if base == "uniform" and offered else "is offered to all layers"
    return RefusedError(
        f"{who}: base is {base}, but no such width {what}: {target.spec} offers "
        f"{widths} for weights and activations of all; set base to one of these, or give snr or "
        "budget instead"
    )


def _noisiest(search: Search, found: Found) -> list[str]:
    """The layers that add most noise."""
    plan = search.plan
    alone = {
        node.name: search.errors.alone(node.name, plan.root(node), found.chosen[node.name])
        for node in plan.layers
    }
    return sorted(alone, key=lambda name: (-alone[name], name))[:NAMED]
