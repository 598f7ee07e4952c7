"""Typed questions for System One models, which answer with a probability for every option.

Weights that are loaded here answer through transformers' decision pipeline, and so does any chat model, with
the next-token logits of the options' labels; a decision model reads them with a head of its own. Served ones
answer `/v1/systemone`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import cast

from runners.judges.contract import VerdictDetails

_SUM_TOLERANCE = 0.02
"""Servers round probabilities."""


@dataclass(frozen=True)
class Question:
    """One question about one state. A probability does not depend on what else is asked."""

    state: Mapping[str, str]
    """The material, by name. It is handed over as JSON, so that an answer cannot pass for the question."""
    instructions: str
    """The question."""
    criteria: tuple[str, ...] | Mapping[str, str] | None = None
    """A tuple holds levels, lowest first; a mapping, options and what each means; None asks yes or no."""

    def as_request(self) -> dict[str, object]:
        """Return the question in the form of the System One API."""
        if self.criteria is None:
            return {"type": "noul", "instructions": self.instructions}
        if isinstance(self.criteria, tuple):
            return {"type": "score", "instructions": self.instructions, "criteria": list(self.criteria)}
        return {"type": "choice", "instructions": self.instructions, "criteria": dict(self.criteria)}


@dataclass(frozen=True)
class Decided:
    """A model's answer to one question."""

    place: int
    """The question's place in the sequence."""
    probabilities: dict[str, float] | None
    """Probability of every level from "1" on, of every option by its name, or of yes ("1") and no ("0"); they
    sum to 1."""
    error: str | None = None
    """The reason for none."""
    details: VerdictDetails = field(default_factory=VerdictDetails)
    """Tokens, seconds, cost and the model's name, for the verdict."""


def probabilities_of(question: Question, answer: Mapping[str, object]) -> dict[str, float]:
    """Read the probabilities in an answer of the System One API.

    Raises:
        ValueError: it has none, has them for other options, or they are no probabilities; the message says
            which.
    """
    if question.criteria is None:
        yes = answer.get("noul")
        if not isinstance(yes, int | float):
            raise ValueError("the answer to a yes-or-no question holds no `noul`")
        found = {"1": float(yes), "0": 1 - float(yes)}
    else:
        value = answer.get("probabilities")
        given = cast("dict[object, object]", value) if isinstance(value, dict) else {}
        is_score = isinstance(question.criteria, tuple)
        options = (
            [str(level) for level in range(len(question.criteria))] if is_score else list(question.criteria)
        )
        numbers = {option: p for option, p in given.items() if isinstance(p, int | float)}
        if set(given) != set(options) or len(numbers) < len(given):
            raise ValueError(f"the answer does not hold a probability for each of {', '.join(options)}")
        # Levels count from 0 there and from 1 here.
        found = {str(int(option) + 1) if is_score else option: float(numbers[option]) for option in options}
    if (
        not all(isfinite(p) and 0 <= p <= 1 for p in found.values())
        or abs(sum(found.values()) - 1) > _SUM_TOLERANCE
    ):
        raise ValueError(f"the probabilities are none: {', '.join(f'{p:g}' for p in found.values())}")
    total = sum(found.values())
    return {option: p / total for option, p in found.items()}


def both_orders(
    material: Mapping[str, str],
    one: str,
    other: str,
    instructions: str,
    criteria: Mapping[str, str],
    names: tuple[str, str] = ("first answer", "second answer"),
    swapped: Mapping[str, str] | None = None,
) -> tuple[Question, Question]:
    """Ask the same choice between two answers with `one` first, then with `other` first.

    `swapped` is the material of the second question, where it is another.

    With the options `first` and `second` in `criteria`, the probability that `one` is better is the mean of
    the first question's `first` and the second question's `second`: what a model gives to a place, and not to
    an answer, cancels out.
    """
    return (
        Question({**material, names[0]: one, names[1]: other}, instructions, criteria),
        Question(
            {**(material if swapped is None else swapped), names[0]: other, names[1]: one},
            instructions,
            criteria,
        ),
    )
