"""The ONNX models that imports are checked with: where they come from, and what to feed them."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

CACHE = Path(__file__).parent.parent / "out" / "onnx_zoo"
LIGHT = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
TORCHVISION = ("resnet18", "resnet50", "mobilenet_v2")
Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Model:
    """A model with the bindings it needs and inputs to compare on.

    `quantized` says that it computes in 8 bits, so that agreement is in steps of its output.
    """

    name: str
    proto: onnx.ModelProto
    feeds: Feeds
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)
    quantized: bool = False


def package_file(package: str, *parts: str) -> Path:
    """A file inside an installed package; ModuleNotFoundError says what to install."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed; see requirements-models.txt")
    return Path(found.submodule_search_locations[0], *parts)


def page(height: int, width: int, rows: slice) -> np.ndarray:
    """Part of scikit-image's photo of a printed page, scaled, in [-1, 1]: [1, 3, height, width]."""
    from PIL import Image

    gray = np.asarray(Image.open(package_file("skimage", "data", "page.png")).convert("RGB"))
    scaled = Image.fromarray(gray[rows]).resize((width, height))
    image: np.ndarray = (np.asarray(scaled, np.float32) / 255 - 0.5) / 0.5
    return image.transpose(2, 0, 1)[None].copy()


def noise(*shape: int) -> np.ndarray:
    """Reproducible normal noise."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def ocr(name: str, file: str, height: int, width: int, rows: slice) -> Model:
    """A model of PP-OCR on a photo of a page."""
    path = package_file("rapidocr_onnxruntime", "models", file)
    image = page(height, width, rows)
    return Model(name, onnx.load(path), {"x": image}, {"x": image.shape})


def silero(name: str, constants: Mapping[str, int]) -> Model:
    """A voice activity detector on 576 samples of noise; its batch is bound to 1."""
    path = package_file("silero_vad", "data", f"{name}.onnx")
    feeds = {"input": 0.1 * noise(1, 576), "state": np.zeros((2, 1, 128), np.float32)}
    return Model(name, onnx.load(path), feeds, {n: x.shape for n, x in feeds.items()}, constants)


def light(name: str) -> Model:
    """A network of ONNX's "light" zoo: its constant weights replaced by random ones.

    The softmax at the end is cut off: on random logits it is 1 somewhere and hides differences.
    """
    path = package_file("onnx", "backend", "test", "data", "light", f"light_{name}.onnx")
    model = onnx.load(path)
    given = {tensor.name: tensor for tensor in model.graph.initializer}
    declared = [value.name for value in model.graph.input if value.name not in given]
    random = np.random.default_rng(0)
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shape = numpy_helper.to_array(given[node.input[0]])
            weight = numpy_helper.from_array(_weights(random, tuple(shape)), node.output[0])
            model.graph.initializer.append(weight)
    kept = [node for node in model.graph.node if node.op_type != "ConstantOfShape"]
    if kept[-1].op_type == "Softmax":
        model.graph.output[0].name = kept.pop().input[0]
        model.graph.output[0].type.tensor_type.ClearField("shape")
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return Model(f"light_{name}", model, {declared[0]: noise(1, 3, 224, 224)})


def _weights(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep the variance of activations; vectors (variances too) near 1."""
    if len(shape) < 2:
        return random.uniform(0.5, 1.0, shape).astype(np.float32)
    fan = int(np.prod(shape[1:]))
    return (random.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32)


def exported(name: str) -> Path:
    """A torchvision classifier with random weights as an ONNX file, exported once."""
    path = CACHE / f"{name}.onnx"
    if not path.exists():
        import torch

        for op in ("nms", "qnms"):  # the parts of torchvision's extension that its import names
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{op}", schema)
        import torchvision

        torch.manual_seed(0)
        module = getattr(torchvision.models, name)().eval()
        CACHE.mkdir(parents=True, exist_ok=True)
        example = (torch.from_numpy(noise(1, 3, 224, 224)),)
        torch.onnx.export(module, example, str(path), dynamo=True, external_data=False)
    return path


def float_model(name: str) -> Model:
    """An exported classifier in float32."""
    model = onnx.load(exported(name))
    return Model(name, model, {model.graph.input[0].name: noise(1, 3, 224, 224)})


def qdq_model(name: str) -> Model:
    """The same classifier quantized by onnxruntime: per-channel int8 weights, uint8 activations."""
    path = CACHE / f"{name}.q.onnx"
    source = exported(name)
    entry = onnx.load(source).graph.input[0].name
    if not path.exists():
        _quantize(source, path, entry)
    return Model(f"{name} int8", onnx.load(path), {entry: noise(1, 3, 224, 224)}, quantized=True)


def _quantize(source: Path, target: Path, entry: str) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [{entry: noise(1, 3, 224, 224)}] * 2

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )


QUICK = ("ppocr_det", "silero_vad_openvino_16k", "light_squeezenet")


def models() -> Iterator[tuple[str, Callable[[], Model]]]:
    """Every model by name, made when called."""
    line = slice(10, 40)
    whole = slice(None)
    yield from ((f"light_{name}", partial(light, name)) for name in LIGHT)
    yield "ppocr_det", partial(ocr, "ppocr_det", "ch_PP-OCRv4_det_infer.onnx", 320, 320, whole)
    yield "ppocr_rec", partial(ocr, "ppocr_rec", "ch_PP-OCRv4_rec_infer.onnx", 48, 320, line)
    cls = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
    yield "ppocr_cls", partial(ocr, "ppocr_cls", cls, 48, 192, line)
    yield "silero_vad_op18_ifless", partial(silero, "silero_vad_op18_ifless", {"sr": 16000})
    yield "silero_vad_openvino_16k", partial(silero, "silero_vad_openvino_16k", {})
    for name in TORCHVISION:
        yield name, partial(float_model, name)
    for name in TORCHVISION:
        yield f"{name} int8", partial(qdq_model, name)
