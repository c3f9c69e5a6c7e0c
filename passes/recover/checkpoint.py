"""Training as it stands, in one file of arrays and a header: written whole or not at all."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codesign.errors import TrainingError
from codesign.runtime.folder import write_file

FORMAT = "codesign training 1"


class Checkpoint:
    """The file `path` of the training that `identity` names."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    def save(self, step: int, tensors: Mapping[str, Tensor], said: Mapping[str, Any]) -> None:
        """Keep the `tensors` after `step` steps, and what is to be `said` of the way there."""
        from safetensors.torch import save

        told = {"identity": self.identity, "step": step, "said": dict(said)}
        content = save(
            {name: t.detach().contiguous() for name, t in tensors.items()},
            {"format": FORMAT, "training": json.dumps(told)},
        )
        write_file(self.path, lambda stream: _put(stream, content))

    def load(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """Steps done, tensors, and what was said; None where there is no file yet.

        TrainingError if the file is damaged, or of another training.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        if not self.path.exists():
            return None
        try:
            content = self.path.read_bytes()
            tensors = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            told = json.loads(header["__metadata__"]["training"])
            step, identity, said = int(told["step"]), told["identity"], dict(told["said"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(
                f"checkpoint {self.path} cannot be read ({type(error).__name__}: {error}); remove "
                "it to train from the start, or give another file"
            ) from None
        if identity != self.identity:
            raise TrainingError(
                f"checkpoint {self.path} is of another training: model, passes before, data, "
                "options or seed differ; remove it to train from the start, or give another file"
            )
        return step, tensors, said


def _put(stream: Any, content: bytes) -> None:
    stream.write(content)


def identity_of(texts: Iterable[str], arrays: Iterable[Mapping[str, np.ndarray]]) -> str:
    """One hash of all that a training depends on."""
    digest = hashlib.sha256(FORMAT.encode())
    for text in texts:
        digest.update(f"{text}\0".encode())
    for group in arrays:
        for name, array in sorted(group.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def state(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All tensors that training changes, by name."""
    found = {f"module.{name}": t for name, t in module.state_dict().items()}
    for number, slots in optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{number}.{slot}": t for slot, t in slots.items() if _tensor(t)}
    return found


def restore(
    module: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put `tensors` back, each laid out in memory as before: that decides how sums are rounded."""
    for name, tensor in module.state_dict().items():
        tensor.copy_(tensors[f"module.{name}"])
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, tensor in tensors.items():
        where, _, rest = key.partition(".")
        if where == "optimizer":
            number, _, slot = rest.partition(".")
            parameter = parameters[int(number)]
            alike = tensor.shape == parameter.shape and slot != "step"
            laid = torch.empty_like(parameter.data).copy_(tensor) if alike else tensor.clone()
            optimizer.state[parameter][slot] = laid


def _tensor(thing: object) -> bool:
    return isinstance(thing, Tensor)
