"""What a benchmark finds: our figure beside a peer's, a floor's or a limit's, and the ratio that was
promised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of `results.json`."""

    name: str
    ours: float
    peer: float
    """What ours is held against, in the same unit; `against` says what it is."""
    against: str
    unit: str
    mark: float | None
    """The ratio promised; None for a figure that is told beside the others and promises nothing."""
    is_least: bool = False
    """Whether the mark is the least the ratio may be (work done in a unit of time), or else the most (time
    taken)."""
    points: tuple[tuple[int, float], ...] = ()
    """Of what grows: how many times as much, and what it took."""

    @property
    def ratio(self) -> float:
        """Ours over the peer's."""
        return self.ours / self.peer

    @property
    def reached(self) -> bool | None:
        if self.mark is None:
            return None
        return self.ratio >= self.mark if self.is_least else self.ratio <= self.mark

    def row(self) -> dict[str, object]:
        """As it is written down."""
        return {
            "name": self.name,
            "ours": round(self.ours, 4),
            "peer": round(self.peer, 4),
            "against": self.against,
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "mark": self.mark,
            "is_least": self.is_least,
            "reached": self.reached,
        }


def within(name: str, seconds: float, limit: float) -> Measured:
    """A time that may not pass a limit."""
    return Measured(name, seconds, limit, "the limit", "s", 1.0)
