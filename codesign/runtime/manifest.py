"""The manifest of an artifact: what it is, what it needs, and the digest of every file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from codesign.errors import ArtifactError
from codesign.runtime.limits import MOST_THREADS
from codesign.runtime.plan import Plan, check_plan, plan_from_json

FORMAT = 1
MANIFEST, PROGRAM, WEIGHTS, REPORT = (
    "manifest.json",
    "program.txt",
    "weights.safetensors",
    "report.json",
)
LIBRARIES = ("module.so", "module.o", "machine.toml")
_BLANK = "0" * 64


@dataclass(frozen=True)
class Manifest:
    """Everything about an artifact but its content.

    `architecture` and `requires` say which machine can run it, `machine` on which it was made.
    `weights` tells how arrays in the weights file are stored (see `codesign.runtime.weights`),
    `files` is the SHA-256 of every other file by name.
    """

    name: str
    target: str
    plan: Plan
    threads: int = 1
    architecture: str = ""
    requires: tuple[str, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    library: str = ""
    linked_with: str = ""
    weights: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The file: JSON that holds the SHA-256 of itself with that digest zeroed."""
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "plan"}
        body["inputs"] = [_described(port) for port in self.plan.inputs]
        body["outputs"] = [_described(port) for port in self.plan.outputs]
        head = {"format": FORMAT, "sha256": _BLANK}
        blank = json.dumps({**head, **body, "plan": self.plan.json()}, indent=1) + "\n"
        return blank.replace(_BLANK, digest(blank.encode()), 1)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _described(port: Any) -> dict[str, Any]:
    found = asdict(port)
    del found["slot"]
    return {key: value for key, value in found.items() if value is not None}


def read_manifest(content: bytes) -> Manifest:
    """The manifest in the file `content`; ArtifactError if it is damaged or of another version."""
    try:
        body = json.loads(content)
        version, claimed = body.pop("format"), body.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ArtifactError(f"{MANIFEST} is damaged: it is no manifest; compile again") from None
    if version != FORMAT:
        raise ArtifactError(
            f"the artifact has format {version!r}, this codesign reads {FORMAT}; compile it again"
        )
    blank = content.replace(str(claimed).encode(), _BLANK.encode(), 1)
    if digest(blank) != claimed:
        raise ArtifactError(f"{MANIFEST} is damaged: its SHA-256 does not match; compile again")
    return _manifest(body)


def _manifest(body: dict[str, Any]) -> Manifest:
    for derived in ("inputs", "outputs"):
        body.pop(derived, None)
    try:
        body["plan"] = plan_from_json(body["plan"])
        body["requires"] = tuple(body["requires"])
        found = Manifest(**body)
        check_plan(found.plan)
        if not isinstance(found.threads, int) or not 1 <= found.threads <= MOST_THREADS:
            raise ValueError(f"threads is {found.threads!r}, expected 1 to {MOST_THREADS}")
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{MANIFEST} does not describe an artifact: {error}") from None
