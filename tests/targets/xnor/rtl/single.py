"""An engine between a source and a sink, on random words, with the model's times."""

from dataclasses import replace

import numpy as np

from codesign.targets.xnor.engine import Design, Engine, Sink, Source, Stream
from codesign.targets.xnor.rtl.contents import Contents, Held
from codesign.targets.xnor.rtl.simulate import from_words, simulate, to_words
from codesign.targets.xnor.rtl.top import make_top
from codesign.targets.xnor.timing import run

IMAGES = 3


def alone(
    engine: Engine,
    streams: tuple[Stream, Stream],
    given: np.ndarray,
    held: Held = None,
    blocks: bool = False,
    paces: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Codes that leave for [IMAGES, ...] codes that come; cycles are those of the rules."""
    into, out = streams
    engine = replace(engine, name="e", inputs=(into.name,), outputs=(out.name,))
    design = Design(
        (
            Source("s", (), (into.name,), into.words, paces[0]),
            engine,
            Sink("k", (out.name,), (), out.words, paces[1]),
        ),
        streams,
    )
    contents = Contents({"e": held}, dict.fromkeys(("s", "e", "k"), blocks))
    times = run(design, IMAGES)
    words = {"s": to_words(given, into)}
    most = int(times["k"][-1]) + 2
    found = simulate(make_top(design, contents), words, {"k": out.words * IMAGES}, most)
    assert found.cycles["k"] == times["k"].tolist()
    assert found.cycles["s"] == times["s"].tolist()[: len(found.cycles["s"])]
    return from_words(found.words["k"], out, False)
