"""Base of every step."""

from dsl.values import StepId, Value


class Step(Value):
    """A node of the plan."""

    kind: str

    @property
    def code(self) -> tuple[str, ...]:
        """The modules that make its rows."""
        return (f"runners.steps.{self.kind}",)

    @property
    def inputs(self) -> tuple[StepId, ...]:
        """The steps whose files this one reads."""
        return ()

    @property
    def affinity(self) -> str:
        """Steps with equal affinity share a loaded model; the empty word needs none."""
        return ""
