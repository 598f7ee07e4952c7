"""Preference pairs made in the plan, of a policy's own answers: sampled, judged, the best and the worst
kept."""

from typing import Literal, cast

from pydantic import Field

from dsl.methods.base import Builder, CellRequest
from dsl.methods.parts import Model
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.steps import GenerateStep, PairsStep
from dsl.values import Language, Name, StepId, Value

MOST_SAMPLES = 64
"""Answers to a question, at most: seeds of samples lie so far apart from one training seed to the next, and
more samples keep those that are there."""


class OnPolicyPairs(Value):
    """Pairs of the best and the worst of several answers to each question, by a judge of the study."""

    source: Name = Field(alias="from")
    """The model that answers: `base`, `instruct`, or the name of an sft method of the study."""
    prompts: Name
    """The data set whose questions it answers. None of its items may be evaluated."""
    samples: int = Field(default=4, ge=2, le=MOST_SAMPLES)
    """Answers to each question, each sampled with a seed of its own: as `decoding` says if it samples, else
    at temperature 1."""
    rank_by: Name
    """The judge whose mean score says which answer is better. Questions whose answers are equal, or equally
    good, have no pair."""

    @property
    def starts_from(self) -> Name | None:
        """The method of the study that answers; None where it is the model as it was published."""
        return None if self.source in ("base", "instruct") else self.source

    def why_not_applicable(self, model: Model) -> str | None:
        """Return why a model cannot answer here, or None."""
        if self.starts_from is not None or getattr(model, self.source) is not None:
            return None
        return f"it has no `{self.source}`"

    def steps_for(
        self, request: CellRequest, language: Language, prompt: PromptForm, build: Builder
    ) -> tuple[StepId, ...]:
        """Add the steps that make the pairs of one training language, and return them: the trainings that the
        answers come from, the answers, the verdicts, and last the pairs.

        `prompt` is the form that the questions are put in.
        """
        assert request.seed is not None
        examples = build.examples(self.prompts, language)
        decoding = build.decoding
        if not decoding.is_sampled:
            decoding = decoding.model_copy(update={"temperature": 1.0})
        train: tuple[StepId, ...] = ()
        tuned: StepId | None = None
        if (method := self.starts_from) is None:
            model = build.weights(request.model, cast(Literal["base", "instruct"], self.source))
        else:
            below = build.trained(request, method)
            train, model, tuned = below.train, below.generate.model, below.generate.tuned
        answers = [
            build.add(
                GenerateStep(
                    model=model,
                    tuned=tuned,
                    examples=examples,
                    prompt=prompt,
                    decoding=decoding,
                    seed=request.seed * MOST_SAMPLES + number,
                )
            )
            for number in range(self.samples)
        ]
        verdicts = [build.verdicts(self.rank_by, one, examples) for one in answers]
        pairs = build.add(PairsStep(examples=examples, samples=tuple(answers), verdicts=tuple(verdicts)))
        return (*train, *answers, *(one.step for one in verdicts), pairs)
