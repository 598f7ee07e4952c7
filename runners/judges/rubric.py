"""`rubric`: a model judges each answer on the aspects of a rubric, in writing (just-eval, arXiv 2312.01552).

It gives its reasons and scores as JSON, and what it wrote is kept. A server that can is held to the JSON's form; any other reply is read
tolerantly. Refusals, "N/A", scores off the scale and what cannot be read leave the answer unscored.
"""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.data.records import Example, Verdict
from dsl.engines import EngineOrWeights
from dsl.errors import DataError
from dsl.models import Decoding
from runners.engines.contract import EngineAnswer
from runners.judges._frame import frame
from runners.judges._rubric import RubricSettings, meets
from runners.judges._written import prompt_for, spent_on, verdict_of
from runners.judges.contract import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text", "instruction", "reference")


class Settings(RubricSettings):
    """A score from 1 (worst) to 5 (best) for each aspect. Refusals, "N/A" and replies that cannot be read stay unscored."""

    VERSION: ClassVar[int] = 2
    LABEL: ClassVar[str] = "quality by a rubric"
    judge: Literal["rubric"] = "rubric"
    model: EngineOrWeights
    """Who judges: a served model (`engine: openai`), or weights that write here. What a model need not write, `decision` reads from it."""
    together: bool = False
    """Ask in one request for all aspects that are judged on the same items, as just-eval does. Cheaper, but a score then depends on the
    aspects asked beside it, so that another aspect asks for all of them again."""
    repeats: int = Field(1, ge=1)
    """How often each question is asked; the score is the mean, and each repeat is kept. With temperature 0 it shows how far the server
    itself wavers."""
    temperature: float = Field(0.0, ge=0)
    max_new_tokens: int = Field(1024, ge=16)
    """How long one reply may be."""
    na_as: int | None = Field(None, ge=1)
    """The score that a judge's "N/A" counts as; just-eval's own rule is 5. Without it, such an answer stays unscored."""

    @model_validator(mode="after")
    def _writes(self) -> Self:
        if self.model.engine == "recorded":
            raise ValueError("recorded answers cannot judge; name a served model or weights")
        return self

    def _check(self) -> None:
        super()._check()
        fewest = min(len(aspect.levels) for aspect in self.chosen().values())
        if self.na_as is not None and self.na_as > fewest:
            raise DataError(f"`na_as: {self.na_as}` is off the scale, which ends at {fewest}")

    def beside(self) -> dict[str, tuple[str, ...]]:
        """Aspect -> the aspects in the same request, itself among them: those that are judged on the same items."""
        chosen = tuple(self.chosen())
        if not self.together:
            return {aspect: (aspect,) for aspect in chosen}
        return {aspect: tuple(other for other in chosen if self.condition(other) == self.condition(aspect)) for aspect in chosen}


def aspects(settings: Settings) -> dict[str, object]:
    """What counts for an aspect's verdicts: the model, how it is asked, and the texts of the aspects asked for together; not what else is
    in the rubric, nor which items they are asked of."""
    chosen = settings.chosen()
    how = (settings.max_new_tokens, settings.temperature, settings.repeats, settings.na_as)
    shared = ("rubric", Settings.VERSION, settings.model, how, frame(settings.language))
    return {name: (*shared, name, [(one, chosen[one]) for one in beside]) for name, beside in settings.beside().items()}


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return meets(example, settings.condition(aspect))


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    chosen, together, text = settings.chosen(), settings.beside(), frame(settings.language)
    asked: list[tuple[Answer, tuple[str, ...], tuple[str, ...]]] = []
    for answer in answers:
        # Asked together, a score depends on its neighbours, so a request names them all even where some verdicts are there already.
        requests = dict.fromkeys(together[aspect] for aspect in answer.keys)
        asked += [(answer, beside, tuple(aspect for aspect in beside if aspect in answer.keys)) for beside in requests]
    prompts = [prompt_for(answer, {name: chosen[name] for name in beside}, text) for answer, beside, _ in asked]
    repeated = [prompt for prompt in prompts for _ in range(settings.repeats)]
    replies: dict[int, dict[int, EngineAnswer]] = {}
    decoding = Decoding(max_new_tokens=settings.max_new_tokens, temperature=settings.temperature)
    for place, reply in tools.generate(settings.model, repeated, decoding):
        which, repeat = divmod(place, settings.repeats)
        here = replies.setdefault(which, {})
        here[repeat] = reply
        if len(here) < settings.repeats:
            continue
        answer, _, wanted = asked[which]
        in_order = [replies[which][repeat] for repeat in range(settings.repeats)]
        del replies[which]
        for rank, aspect in enumerate(wanted):
            spent = spent_on(in_order, settings.model) if rank == 0 else {}
            yield verdict_of(answer, aspect, len(chosen[aspect].levels), in_order, settings.na_as, spent)
