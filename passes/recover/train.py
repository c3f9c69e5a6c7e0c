"""From the options of `recover` to a trained graph."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from codesign.interpret.module import learnable
from codesign.interpret.trainee import Learning, Trainee
from codesign.ir.graph import Graph
from codesign.passes.recover.batches import Batches, arrays, check_labels
from codesign.passes.recover.checkpoint import Checkpoint, identity_of
from codesign.passes.recover.latents import latents
from codesign.passes.recover.loop import Loop, Plan
from codesign.passes.recover.losses import Loss, is_softmax
from codesign.passes.recover.recover import Recover
from codesign.passes.recover.teacher import Teacher
from codesign.rewrite.context import Context, Dataset
from codesign.runtime.folder import check_file


def train(options: Recover, graph: Graph, data: Dataset, context: Context) -> Graph:
    """`graph` after training on `data`; itself if its outputs depend on nothing to be trained."""
    if not _learns(graph):
        context.remark("its outputs depend on no weights, so there is nothing to train")
        return graph
    first = graph.types[graph.outputs[0]]
    if data.labels is not None:
        check_labels(data.labels, first.size // max(1, first.shape[0]))
    taught = options.taught(data)
    batches = Batches(data, graph.inputs, options.batch, context.seed, options.shift, options.flip)
    learning = Learning(options.learn_steps, options.surrogate, options.momentum)
    module = Trainee(graph, learning, latents(graph, context.original))
    original = context.original if taught > 0 else None
    loop = Loop(
        module,
        batches,
        _loss(options, graph, data),
        None if original is None else Teacher(original, options.batch),
        _plan(options, batches),
        _checkpoint(options, graph, data, context),
        context.progress,
    )
    losses = loop.run()
    context.remark(
        f"loss {losses[0]:.4g} in the first of {len(losses)} epochs, {losses[-1]:.4g} in the last"
    )
    return module.trained()


def _learns(graph: Graph) -> bool:
    """True if an output depends on what training may change."""
    read = set(graph.outputs)
    for node in reversed(graph.nodes):
        if read.intersection(node.outputs):
            read.update(node.operands)
    return not read.isdisjoint(learnable(graph))


def _loss(options: Recover, graph: Graph, data: Dataset) -> Loss:
    usual = "mse" if data.labels is None else "kl"
    distance = options.distance or ("mse" if usual == "mse" else "kl")
    return Loss(
        options.taught(data), distance, options.temperature, options.smoothing, is_softmax(graph)
    )


def _plan(options: Recover, batches: Batches) -> Plan:
    return Plan(
        options.epochs * batches.epoch,
        options.rate,
        options.warmup,
        options.optimizer == "sgd",
        options.weight_decay,
        options.save_seconds,
    )


def _checkpoint(
    options: Recover, graph: Graph, data: Dataset, context: Context
) -> Checkpoint | None:
    """Where to keep what is reached, for this training alone; ArtifactError if nothing can be."""
    path = options.kept()
    if path is None:
        return None
    check_file(path)
    plain = replace(options, checkpoint=None, save_seconds=0.0)
    texts = [plain.told, str(context.seed), str(graph), str(context.original)]
    groups: list[Mapping[str, np.ndarray]] = [arrays(data)]
    for each in (graph, context.original):
        groups += [] if each is None else [{n: c.array for n, c in each.constants.items()}]
    return Checkpoint(path, identity_of(texts, groups))
