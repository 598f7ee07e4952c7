"""Settings of the `rubric` judge."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.engines import EngineOrWeights
from dsl.errors import DataError
from dsl.judges._rubric import RubricSettings


class Settings(RubricSettings):
    """A score from 1 (worst) to 5 (best) for each aspect. Refusals, "N/A" and replies that cannot be read
    stay unscored."""

    VERSION: ClassVar[int] = 2
    LABEL: ClassVar[str] = "quality by a rubric"
    judge: Literal["rubric"] = "rubric"
    model: EngineOrWeights
    """The model that judges: a served one (`engine: openai`), or weights that write, here or served (`engine:
    vllm`, `engine: llama_cpp`). What a model need not write, `decision` reads from it."""
    together: bool = False
    """Ask in one request for all aspects that are judged on the same items, as just-eval does. Cheaper, but a
    score then depends on the aspects asked beside it, so that another aspect asks for all of them again."""
    aspects_per_request: int | None = Field(None, ge=1)
    """With `together`: the most aspects of one request, for judges that do worse on many. Without it, all
    that are judged on the same items."""
    repeats: int = Field(1, ge=1)
    """Number of times that each question is asked; the score is the mean, and each repeat is kept. With
    temperature 0 it shows how far the server itself wavers."""
    temperature: float = Field(0.0, ge=0)
    max_new_tokens: int = Field(1024, ge=16)
    """Longest reply, in tokens."""
    na_as: int | None = Field(None, ge=1)
    """The score that a judge's "N/A" counts as; just-eval's own rule is 5. Without it, such an answer stays
    unscored."""

    @model_validator(mode="after")
    def _writes(self) -> Self:
        if self.model.engine == "recorded":
            raise ValueError("recorded answers cannot judge; name a served model or weights")
        return self

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.aspects_per_request is not None and not self.together:
            raise ValueError(
                "`aspects_per_request` divides the aspects that are asked for together: set `together: true`,"
                " or leave it out, as each aspect has a request of its own then"
            )
        return self

    def _check(self) -> None:
        super()._check()
        fewest = min(len(aspect.levels) for aspect in self.chosen().values())
        if self.na_as is not None and self.na_as > fewest:
            raise DataError(f"`na_as: {self.na_as}` is off the scale, which ends at {fewest}")

    def beside(self) -> dict[str, tuple[str, ...]]:
        """Aspect -> the aspects in the same request, itself among them: those that are judged on the same
        items, at most `aspects_per_request` of them."""
        chosen = tuple(self.chosen())
        if not self.together:
            return {aspect: (aspect,) for aspect in chosen}
        found: dict[str, tuple[str, ...]] = {}
        for aspect in chosen:
            same = tuple(other for other in chosen if self.condition(other) == self.condition(aspect))
            most = self.aspects_per_request or len(same)
            begin = same.index(aspect) // most * most
            found[aspect] = same[begin : begin + most]
        return found

    def n_requests(self, aspects: Sequence[str]) -> int:
        beside = self.beside()
        return self.repeats * len({beside[aspect] for aspect in aspects})
