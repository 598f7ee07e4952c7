"""Result of a benchmark: our figure, a baseline (a peer, a floor or a limit), and the target of their
ratio."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of `results.json`."""

    name: str
    ours: float
    baseline: float | None
    """In the same unit; `against` names it. None where a peer that lives elsewhere is not here: it was not
    measured."""
    against: str
    unit: str
    target: float | None
    """Target of the ratio; None for a figure without one."""
    is_least: bool = False
    """True where the target is a minimum (of throughput), else it is a maximum (of time)."""
    points: tuple[tuple[int, float], ...] = ()
    """Scaling: factor of the size, and seconds."""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the baseline."""
        return None if self.baseline is None else self.ours / self.baseline

    @property
    def met(self) -> bool | None:
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.is_least else self.ratio <= self.target

    def row(self) -> dict[str, object]:
        """Return the row of `results.json`."""
        return {
            "name": self.name,
            "ours": round(self.ours, 4),
            "baseline": None if self.baseline is None else round(self.baseline, 4),
            "against": self.against,
            "unit": self.unit,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "target": self.target,
            "is_least": self.is_least,
            "met": self.met,
        }


def within(name: str, seconds: float, limit: float) -> Measured:
    """Return a time with an upper limit."""
    return Measured(name, seconds, limit, "the limit", "s", 1.0)
