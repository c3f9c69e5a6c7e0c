"""The bound to ask the integer programme for, from what was measured of its answers."""

from math import inf, sqrt

NEAR = 0.01  # of the bound: near enough to stop


class Limit:
    """`asked` of the sums of layers, so that an amount of the whole comes to lie below `bound`.

    It is scaled by how far each answer was off, and stays between what met the bound and what
    missed it: by halving, in ratio, where scaling would leave that range, and every other time,
    as scaling alone may swing around the bound for long.
    """

    def __init__(self, bound: float, asked: float) -> None:
        self.bound, self.asked = bound, asked
        self.met, self.missed = 0.0, inf
        self.scaled = False

    @property
    def closed(self) -> bool:
        """True if there is hardly room between what met the bound and what missed it."""
        return self.missed <= self.met * (1 + NEAR)

    def learn(self, amount: float) -> bool:
        """Ask anew after an answer that measured `amount`; False if it was near enough."""
        if amount <= self.bound:
            self.met = max(self.met, self.asked)
        else:
            self.missed = min(self.missed, self.asked)
        if self.bound * (1 - NEAR) <= amount <= self.bound or self.closed:
            return False
        self._move(self.asked * self.bound / amount if amount > 0 else inf)
        return True

    def loosen(self) -> bool:
        """Ask for less after nothing met what was asked; False if there is nowhere to go."""
        self.met = max(self.met, self.asked)
        if self.closed or self.asked <= 0:
            return False
        self._move(self.asked * 2)
        return True

    def _move(self, to: float) -> None:
        between = self.met > 0 and self.missed < inf
        self.scaled = self.met < to < self.missed and not (between and self.scaled)
        if self.scaled:
            self.asked = to
        elif self.missed < inf:
            self.asked = sqrt(self.met * self.missed) if self.met > 0 else self.missed / 2
        else:
            self.asked = self.met * 2
