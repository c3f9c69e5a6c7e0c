"""The script that tells what binary layers cost: its networks, cases and scores."""

import numpy as np
import torch

import codesign
from benchmarks.binary_accuracy import CASES, in_codes, integer_score, score
from benchmarks.plain_network import PlainResidualNet
from benchmarks.train_demo import parameters
from codesign import plugins
from codesign.demo.data import load_test
from codesign.demo.network import ResidualNet, load_network
from codesign.rewrite.context import Context, Dataset


def test_the_plain_network_is_of_the_demos_size() -> None:
    plain, demo = parameters(PlainResidualNet()), parameters(ResidualNet())
    assert (plain, demo) == (112_618, 106_442)
    assert PlainResidualNet().eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_every_case_names_passes() -> None:
    for case in CASES:
        plugins.make("pass", case.binarize)
        assert set(case.epochs) == {"plain", "demo"}
        plugins.make("pass", f"recover{{epochs={case.epochs['demo']},{case.recover}}}")


def test_scores_in_floats_and_in_codes() -> None:
    test = load_test()
    images, labels = test.images[:100], test.labels[:100]
    data = Dataset({"": images}, labels.astype(np.int64))
    program = codesign.load(load_network(), example_inputs=(torch.zeros(1, 1, 28, 28),))
    entry = program.graph.inputs[0]
    plain = score(program, data, entry)
    with torch.no_grad():
        found = load_network()(torch.from_numpy(images)).argmax(1).numpy()
    assert plain == 100 * (found == labels).mean() > 85
    small = in_codes(program, Context(calibration=Dataset({entry: images[:16]})))
    assert any(kind.integer is not None for kind in small.graph.types.values())
    assert abs(integer_score(small, data, entry) - plain) <= 3
