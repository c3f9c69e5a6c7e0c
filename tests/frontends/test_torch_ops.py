"""Families of aten ops, each family traced at once, against torch."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.frontends.torch_agreement import agree, kinds

Outputs = dict[str, Any]


def arithmetic(x: Tensor, y: Tensor, i: Tensor) -> Outputs:
    return {
        "add": x + y,
        "alpha": torch.add(x, y, alpha=3),
        "scalar": x + 1.5,
        "promoted": i * 1.5,
        "mixed": x * i,
        "integers": i + 2,
        "sub": torch.sub(x, y, alpha=2),
        "rsub": 1 - x,
        "div": x / y,
        "floor": torch.div(x, y, rounding_mode="floor"),
        "trunc": torch.div(i, 3, rounding_mode="trunc"),
        "ratio": i / 2,
        "pow": (x.abs() + 0.1) ** 1.7,
        "square": x**2,
        "tensor_pow": x.abs() ** i,
        "remainder": torch.remainder(x, 0.7),
        "fmod": torch.fmod(x, 0.7),
        "clamp": x.clamp(-0.3, 0.4),
        "clamp_low": x.clamp(min=0.1),
        "clamp_integer": i.clamp(0, 1),
        "clamp_tensor": torch.clamp(x, y - 1, y + 1),
        "minimum": torch.minimum(x, y),
        "maximum": torch.max(x, y),
        "addcmul": torch.addcmul(x, y, y, value=0.5),
        "addcdiv": torch.addcdiv(x, y, y.abs() + 1, value=2),
        "lerp": torch.lerp(x, y, 0.3),
    }


def functions(x: Tensor) -> Outputs:
    p = x.abs() + 0.1
    names = "abs neg exp sin cos tan atan sinh cosh asinh floor ceil round trunc sign erf"
    more = "log log2 log10 log1p sqrt rsqrt reciprocal"
    return {
        **{name: getattr(torch, name)(x) for name in names.split()},
        **{name: getattr(torch, name)(p) for name in more.split()},
        "expm1": torch.expm1(x),
        "exp2": torch.exp2(x),
        "asin": torch.asin(x.tanh()),
        "acos": torch.acos(x.tanh()),
        "atanh": torch.atanh(0.9 * x.tanh()),
        "acosh": torch.acosh(1 + p),
    }


def logic(x: Tensor, y: Tensor, i: Tensor) -> Outputs:
    a, b = x > 0, y > 0.2
    return {
        "eq": x.round() == y.round(),
        "ne": i != 1,
        "lt": x < y,
        "le": i <= 1.5,
        "gt": x > 1,
        "ge": x >= y,
        "and": a & b,
        "or": torch.logical_or(a, b),
        "xor": a ^ b,
        "not": ~a,
        "bits": i & 3,
        "or_bits": i | 4,
        "logical_not": torch.logical_not(i),
        "where": torch.where(a, x, y),
        "where_scalar": torch.where(a, x, 0.0),
        "masked_fill": x.masked_fill(a, -1.0),
        "isnan": torch.isnan(x / 0 * 0),
        "isinf": torch.isinf(x / 0),
        "float": a.float(),
        "long": x.long(),
        "half": x.half(),
        "all": a.all(1),
        "any": torch.any(b),
    }


def activations(x: Tensor) -> Outputs:
    return {
        "relu": F.relu(x),
        "relu6": F.relu6(x),
        "hardtanh": F.hardtanh(x, -0.5, 0.7),
        "leaky": F.leaky_relu(x, 0.3),
        "elu": F.elu(x, 0.6),
        "selu": F.selu(x),
        "celu": F.celu(x, 0.7),
        "gelu": F.gelu(x),
        "gelu_tanh": F.gelu(x, approximate="tanh"),
        "silu": F.silu(x),
        "mish": F.mish(x),
        "sigmoid": torch.sigmoid(x),
        "log_sigmoid": F.logsigmoid(x),
        "hardsigmoid": F.hardsigmoid(x),
        "hardswish": F.hardswish(x),
        "softplus": F.softplus(x),
        "softplus_beta": F.softplus(x, 2.0),
        "softsign": F.softsign(x),
        "softshrink": F.softshrink(x),
        "hardshrink": F.hardshrink(x),
        "tanhshrink": F.tanhshrink(x),
        "threshold": F.threshold(x, 0.2, 0.0),
        "glu": F.glu(x, 1),
        "softmax": F.softmax(x, -1),
        "log_softmax": F.log_softmax(x, 1),
        "dropout": F.dropout(x, 0.5, training=False),
    }


def reductions(x: Tensor, i: Tensor) -> Outputs:
    return {
        "sum": x.sum(),
        "sum_axes": x.sum((0, -1), keepdim=True),
        "sum_integers": i.sum(0),
        "mean": x.mean((1, 2)),
        "mean_all": x.mean(),
        "amax": x.amax((0, 1)),
        "amin": x.amin(-1, keepdim=True),
        "max": x.max(1),
        "min": x.min(2, keepdim=True),
        "max_all": x.max(),
        "prod": x.prod(1),
        "var": x.var((1, 2)),
        "var_population": x.var(1, correction=0, keepdim=True),
        "std": x.std(),
        "norm": x.norm(dim=1),
        "norm1": torch.linalg.vector_norm(x, 1, (1, 2)),
        "norm_inf": torch.linalg.vector_norm(x, float("inf"), 1),
        "logsumexp": x.logsumexp(1),
        "argmax": x.argmax(1),
        "argmax_all": x.argmax(),
        "argmin": x.argmin(-1, keepdim=True),
        "cumsum": x.cumsum(1),
        "topk": x.topk(2, 1),
        "bottomk": x.topk(2, -1, largest=False),
        "sort": x.sort(1, descending=True),
    }


def shapes(x: Tensor, y: Tensor) -> Outputs:
    return {
        "view": x.view(6, -1),
        "flatten": x.flatten(1),
        "unflatten": torch.unflatten(x, 1, (1, 3)),
        "squeeze": y.squeeze(),
        "squeeze_one": y.squeeze(0),
        "unsqueeze": x.unsqueeze(-1),
        "permute": x.permute(2, 0, 1),
        "transpose": x.transpose(-1, 0),
        "t": x[0].t(),
        "movedim": x.movedim(0, 2),
        "expand": y.expand(2, -1, -1),
        "select": x[:, -1],
        "slice": x[1:, :, 1:-1:2],
        "narrow": x.narrow(2, 1, 2),
        "split": torch.split(x, 3, 2),
        "split_sizes": torch.split(x, [1, 3], 2),
        "chunk": x.chunk(2, 2),
        "unbind": x.unbind(1),
        "cat": torch.cat([x, x * 2], 1),
        "stack": torch.stack([x, x + 1], 1),
        "repeat": x.repeat(2, 1, 1, 2),
        "tile": x.tile((1, 2)),
        "repeat_interleave": x.repeat_interleave(2, 1),
        "flip": x.flip(0, 2),
        "roll": x.roll((1, -2), (1, 2)),
        "pad": F.pad(x, (1, 2, 0, 1), value=3.0),
        "crop": F.pad(x, (-1, 1)),
        "reflect": F.pad(x, (2, 1), mode="reflect"),
        "replicate": F.pad(x, (2, 1), mode="replicate"),
        "circular": F.pad(x, (2, 1), mode="circular"),
        "tril": x.tril(),
        "triu": x.triu(1),
        "zeros": x + torch.zeros_like(x),
        "arange": x + torch.arange(4, dtype=torch.float32),
        "full": x * torch.full((1, 3, 1), 2.0),
    }


def rearranged(x: Tensor) -> Outputs:
    return {
        "shuffle": F.pixel_shuffle(x, 2),
        "unshuffle": F.pixel_unshuffle(x, 2),
        "channels": F.channel_shuffle(x, 4),
        "nearest": F.interpolate(x, scale_factor=2),
        "nearest_size": F.interpolate(x, (3, 12)),
        "exact": F.interpolate(x, (3, 9), mode="nearest-exact"),
        "bilinear": F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        "corners": F.interpolate(x, (9, 5), mode="bilinear", align_corners=True),
        "bicubic": F.interpolate(x, (9, 5), mode="bicubic"),
        "smooth": F.interpolate(x, (4, 3), mode="bilinear", antialias=True),
    }


def pools(x: Tensor) -> Outputs:
    return {
        "max": F.max_pool2d(x, 3, 2, 1),
        "max_ceil": F.max_pool2d(x, 2, 2, ceil_mode=True),
        "max_dilated": F.max_pool2d(x, (2, 3), dilation=(2, 1)),
        "avg": F.avg_pool2d(x, 3, 2, 1),
        "avg_ceil": F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        "avg_inside": F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        "avg_divisor": F.avg_pool2d(x, 2, divisor_override=3),
        "global": F.adaptive_avg_pool2d(x, 1),
        "adaptive": F.adaptive_avg_pool2d(x, (7, 3)),
        "adaptive_uneven": F.adaptive_avg_pool2d(x, (5, 4)),
        "adaptive_max": F.adaptive_max_pool2d(x, (1, 3)),
        "rows": F.avg_pool1d(x[0], 3, 2),
        "max_rows": F.max_pool1d(x[0], 2),
        "volume": F.max_pool3d(x, 2),
        "mean_volume": F.avg_pool3d(x, 2),
    }


def indexed(x: Tensor, i: Tensor) -> Outputs:
    table = torch.arange(12.0).reshape(4, 3)
    rows = torch.tensor([2, 0])
    return {
        "embedding": F.embedding(i, table),
        "one": x[:, i],
        "two": x[i, rows],
        "broadcast": x[i[:, None], rows],
        "later": x[:, rows, torch.tensor([1, 3])],
        "select": x.index_select(1, rows),
        "gather": x.gather(1, i.reshape(1, 2, 1).expand(3, 2, 4)),
        "take": torch.take_along_dim(x, i.reshape(1, 2, 1).expand(3, 2, 4), 1),
        "scatter": x.scatter(1, i.reshape(1, 2, 1).expand(3, 2, 4), x[:, :2]),
        "scatter_value": x.scatter(0, i.reshape(2, 1, 1), 5.0),
        "scatter_add": x.scatter_add(1, i.reshape(1, 2, 1).expand(3, 2, 4), x[:, :2]),
        "put": x.index_put((i,), torch.tensor(1.5)),
        "one_hot": F.one_hot(i, 5),
    }


def products(x: Tensor, y: Tensor) -> Outputs:
    return {
        "matmul": x @ y,
        "mm": x[0] @ y[0],
        "mv": x[0] @ y[0, :, 0],
        "dot": torch.dot(x[0, 0], y[0, :, 0]),
        "bmm": torch.bmm(x, y),
        "addmm": torch.addmm(x[0, :, :2], x[0], y[0, :, :2], beta=0.5, alpha=2),
        "baddbmm": torch.baddbmm(torch.ones(3), x, y),
        "einsum": torch.einsum("bij,bjk->bki", x, y),
        "attention": F.scaled_dot_product_attention(x, x, x[..., :3]),
        "causal": F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.3),
        "masked": F.scaled_dot_product_attention(
            x, x, x, attn_mask=torch.tensor([True, True, False, True, True])
        ),
        "biased": F.scaled_dot_product_attention(x, x, x, attn_mask=x[:, :, :1]),
    }


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


SMALL = torch.tensor([[0, 1, 2, 3]])
CASES = {
    arithmetic: (normal(3, 4), normal(2, 3, 4), SMALL),
    functions: (3 * normal(5, 6),),
    logic: (normal(3, 4), normal(3, 1), SMALL),
    activations: (3 * normal(3, 4, 6),),
    reductions: (normal(2, 3, 4), SMALL),
    shapes: (normal(2, 3, 4), normal(1, 3, 1)),
    rearranged: (normal(1, 8, 6, 6),),
    pools: (normal(1, 2, 7, 9),),
    indexed: (normal(3, 3, 4), torch.tensor([2, 1])),
    products: (normal(2, 5, 4), normal(2, 4, 3)),
}


@pytest.mark.parametrize("family", CASES, ids=lambda family: family.__name__)
def test_a_family_of_ops_agrees_with_torch(family: Any) -> None:
    graph = agree(family, *CASES[family], tolerance=2e-5)
    assert len(graph.nodes) >= 10


def test_convolutions_agree_with_torch() -> None:
    class Convolutions(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            nn = torch.nn
            self.line = nn.Sequential(nn.Conv1d(2, 4, 3, 2, 1), nn.ConvTranspose1d(4, 2, 3, 2))
            self.plane = nn.Sequential(
                nn.Conv2d(2, 4, (3, 2), padding="same", dilation=(1, 2)),
                nn.Conv2d(4, 4, 3, groups=2, bias=False),
                nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
                nn.PReLU(6),
                nn.PReLU(),
            )
            self.volume = nn.Sequential(nn.Conv3d(2, 3, 2, padding=1), nn.Conv3d(3, 1, 1))

        def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Outputs:
            return {
                "line": self.line(x),
                "unbatched": self.line(x[0]),
                "plane": self.plane(y),
                "volume": self.volume(z),
            }

    graph = agree(Convolutions(), normal(2, 2, 9), normal(2, 2, 8, 7), normal(1, 2, 3, 4, 3))
    assert kinds(graph).count("conv") == 6 and kinds(graph).count("conv_transpose") == 3


def test_norms_agree_with_torch_and_stay_whole() -> None:
    class Norms(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            nn = torch.nn
            self.norms = nn.ModuleList(
                [
                    nn.BatchNorm2d(6),
                    nn.BatchNorm2d(6, affine=False),
                    nn.BatchNorm2d(6, track_running_stats=False),
                    nn.LayerNorm((5, 4)),
                    nn.LayerNorm(4, elementwise_affine=False),
                    nn.GroupNorm(3, 6),
                    nn.InstanceNorm2d(6, affine=True),
                    nn.InstanceNorm2d(6),
                    nn.RMSNorm(4, 1e-3),
                ]
            )
            for part in self.norms:
                for tensor in part.state_dict().values():
                    if tensor.is_floating_point():
                        tensor.uniform_(0.5, 1.5)

        def forward(self, x: Tensor) -> list[Tensor]:
            return [part(x) for part in self.norms]

    graph = agree(Norms(), normal(2, 6, 5, 4))
    assert {"batch_norm", "layer_norm", "group_norm"} <= set(kinds(graph))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_agree_with_torch(kind: str) -> None:
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind)(3, 4, 2, bidirectional=True, batch_first=True)
    graph = agree(layer, normal(2, 5, 3))
    assert kinds(graph).count(kind.lower()) == 2


def test_recurrent_layers_take_initial_states() -> None:
    class Stepped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, 2, bias=False)
            self.rnn = torch.nn.RNN(3, 4, nonlinearity="relu")

        def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Any:
            return self.lstm(x, (h, c)), self.rnn(x, h[:1])

    graph = agree(Stepped(), normal(5, 2, 3), normal(2, 2, 4), normal(2, 2, 4))
    assert list(graph.inputs) == ["x", "h", "c"]
    assert "lstm.weight_ih_l1" in graph.constants
