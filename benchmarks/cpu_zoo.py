"""The models whose speed on a CPU is measured, as ONNX files in float and in 8 bits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter

from benchmarks import onnx_zoo, torch_zoo

Feeds = Mapping[str, np.ndarray]
CACHE = onnx_zoo.CACHE
CALIBRATION = 4


@dataclass(frozen=True)
class Subject:
    """A model: its float ONNX file, one feed, feeds to calibrate with, and the torch module."""

    name: str
    path: Path
    feeds: Feeds
    calibration: Mapping[str, np.ndarray]
    module: object | None = None

    @property
    def quantized(self) -> Path:
        """The model as onnxruntime quantizes it: QDQ, per-channel int8 weights, uint8 values."""
        path = self.path.with_suffix(".q.onnx")
        if not path.exists():
            _quantize(self, path)
        return path


def _quantize(subject: Subject, target: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
        shape_inference,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            count = len(next(iter(subject.calibration.values())))
            self.left = [
                {name: array[i : i + 1] for name, array in subject.calibration.items()}
                for i in range(count)
            ]

        def get_next(self) -> Feeds | None:
            return self.left.pop() if self.left else None

    prepared = target.with_suffix(".prepared.onnx")
    shape_inference.quant_pre_process(
        _per_channel_opset(subject.path), str(prepared), skip_symbolic_shape=True
    )
    quantize_static(
        str(prepared),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )


def _per_channel_opset(path: Path) -> str:
    """The model in an opset whose DequantizeLinear takes a scale per channel, as a file."""
    model = onnx.load(path)
    if max(entry.version for entry in model.opset_import if not entry.domain) >= 13:
        return str(path)
    newer = path.with_suffix(".opset17.onnx")
    onnx.save(onnx.version_converter.convert_version(model, 17), newer)
    return str(newer)


def _torch(name: str, entry: str) -> Subject:
    """A torch model exported once under `name`."""
    import torch

    module, example = torch_zoo.load(entry)
    path = CACHE / f"{name}.onnx"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        torch.onnx.export(module, example, str(path), dynamo=True, external_data=False)
    arrays = [x.numpy() for x in example]
    names = [value.name for value in onnx.load(path).graph.input]
    random = np.random.default_rng(0)

    def samples(array: np.ndarray) -> np.ndarray:
        if array.dtype == np.int64 and array.max() > 1:
            return random.integers(0, array.max(), (CALIBRATION, *array.shape[1:]))
        repeated = np.repeat(array, CALIBRATION, axis=0)
        return repeated if array.dtype == np.int64 else _noise(random, repeated.shape)

    feeds = dict(zip(names, arrays, strict=True))
    return Subject(name, path, feeds, {n: samples(a) for n, a in feeds.items()}, module)


def _noise(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


def _detector(size: int = 320) -> Subject:
    """PP-OCRv4's text detector with its input bound to one size."""
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    path = CACHE / f"ppocr_det_{size}.onnx"
    source = onnx_zoo.package_file("rapidocr_onnxruntime", "models", "ch_PP-OCRv4_det_infer.onnx")
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        model = onnx.load(source)
        entry, result = model.graph.input[0].name, model.graph.output[0].name
        bound = update_inputs_outputs_dims(
            model, {entry: [1, 3, size, size]}, {result: [1, 1, size, size]}
        )
        onnx.save(bound, path)
    entry = onnx.load(path).graph.input[0].name
    image = onnx_zoo.page(size, size, slice(None))
    return Subject("ppocr_det", path, {entry: image}, {entry: np.repeat(image, CALIBRATION, 0)})


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "resnet18": lambda: _torch("resnet18", "resnet18"),
    "resnet50": lambda: _torch("resnet50", "resnet50"),
    "vgg16": lambda: _torch("vgg16", "vgg16"),
    "mobilenet_v2": lambda: _torch("mobilenet_v2", "mobilenet_v2"),
    "efficientnet_lite0": lambda: _torch("efficientnet_lite0", "efficientnet-lite0"),
    "ppocr_det": _detector,
    "minilm": lambda: _torch("minilm", "minilm"),
}
