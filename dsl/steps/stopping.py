"""Rule by which a study stops asking: items come in slices until a declared contrast is settled."""

from typing import Self

from pydantic import Field, model_validator

from dsl.values import Name, Value


class StopWhen(Value):
    """Ask until a contrast is settled: in each data set, language and model by itself.

    Items come in a random order, slice by slice. After each the contrast's confidence sequence is looked at,
    whose error holds for all looks together (`docs/statistics.md`).
    """

    contrast: Name
    """A contrast of two methods, declared on one measure whose scale is bounded."""
    excludes: float | None = None
    """Settled once the confidence sequence excludes this difference; 0 is no difference. Its level is
    Bonferroni's for the study's confirmatory tests, so that with 0 a settled difference is significant after
    correction. At most the scale's width."""
    ci_width: float | None = Field(default=None, gt=0)
    """Settled once the 95% confidence sequence is no wider. Below twice the width of the scale, which is
    its width before the first item."""
    looks: int = Field(default=10, ge=2, le=100)
    """Slices that the items are cut into."""
    seed: int = 0
    """Seed of the order of the items."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.excludes is None) == (self.ci_width is None):
            raise ValueError("name one of `excludes` (as 0, no difference) and `ci_width`")
        return self

    def __str__(self) -> str:
        until = f"excludes {self.excludes:g}" if self.ci_width is None else f"is {self.ci_width:g} wide"
        return f"until the confidence sequence of {self.contrast} {until}, looked at {self.looks} times"
