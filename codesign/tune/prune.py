"""Dropping trials that are not needed any more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.errors import StoreError, UsageError
from codesign.tune.ranking import Entry, ranked
from codesign.tune.store import Store


@dataclass(frozen=True)
class Rule:
    """What goes; a trial goes for the first reason that holds.

    stale: its kernel is in `versions` with another version. Kernels that are not in there stay.
    failed: if `failed`, it is not ok, or it is of a point that also gave wrong numbers. Without
    failed trials a tuner tries those points again.
    slower: its point is not among the `keep` fastest of its task, device, kernel and version, and
    never won a duel: what compiling may use stays. All trials of a point that stays do stay.
    """

    keep: int | None = None
    versions: Mapping[str, str] | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        if self.keep is not None and self.keep < 1:
            raise UsageError(f"keep is {self.keep}, expected at least 1 of each kernel")

    def reasons(self, entries: Sequence[Entry]) -> dict[int, str]:
        """Why each of `entries` goes that does, by id."""
        stale = {e.id for e in entries if self._stale(e)}
        wrong = {e.measured for e in entries if e.status == "wrong"}
        fast = self._fast([e for e in entries if e.id not in stale])
        fast |= {e.measured for e in entries if e.ratio is not None}
        found = {}
        for entry in entries:
            bad = entry.status != "ok" or entry.measured in wrong
            if entry.id in stale:
                found[entry.id] = "stale"
            elif bad and self.failed:
                found[entry.id] = "failed"
            elif not bad and self.keep is not None and entry.measured not in fast:
                found[entry.id] = "slower"
        return found

    def _stale(self, entry: Entry) -> bool:
        current = (self.versions or {}).get(entry.kernel)
        return current is not None and current != entry.version

    def _fast(self, entries: Sequence[Entry]) -> set[tuple[str, ...]]:
        """The points that are fast enough to stay."""
        kept: Counter[tuple[str, ...]] = Counter()
        fast = set()
        for entry in ranked(entries):
            kept[entry.contest] += 1
            if self.keep is None or kept[entry.contest] <= self.keep:
                fast.add(entry.measured)
        return fast


@dataclass(frozen=True)
class Pruned:
    """How many trials went for which reason, how many stay, and why the file is not smaller yet."""

    stale: int
    failed: int
    slower: int
    kept: int
    remark: str = ""

    @property
    def dropped(self) -> int:
        """All that went."""
        return self.stale + self.failed + self.slower


def prune(store: Store, rule: Rule, dry_run: bool = False) -> Pruned:
    """Drop what `rule` says and shrink the file; only tell what would go if `dry_run`.

    The trials are gone even if the file could not be shrunk (that takes free space of its size, and
    that nobody else writes); `remark` says so. DamagedStoreError, nothing being dropped, where any
    part of the file is not as it was written.
    """
    store.verify()
    counted: Counter[str] = Counter()
    total = 0

    def choose(entries: Sequence[Entry]) -> list[int]:
        nonlocal total
        reasons = rule.reasons(entries)
        counted.update(reasons.values())
        total = len(entries)
        return list(reasons)

    remark = ""
    if dry_run:
        choose(store.entries())
    elif store.forget(choose):
        remark = _compact(store)
    kept = total - counted.total()
    return Pruned(counted["stale"], counted["failed"], counted["slower"], kept, remark)


def _compact(store: Store) -> str:
    try:
        store.compact()
    except StoreError as error:
        return f"the trials are gone, but the file was not made smaller: {error}"
    return ""
