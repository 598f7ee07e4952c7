"""Questions of a judge that asks a model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dsl.data.records import Example
from dsl.engines.contract import EngineSettings
from dsl.judges._rubric import RubricSettings
from dsl.judges.contract import JudgeSettings
from xp.plan.asked import n_aspects


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions of a judge about the answers to some examples."""

    on: Mapping[str, int]
    """Aspect -> the items that it is judged on, where there are some."""
    n_requests: int
    """Requests for one answer on all aspects."""
    n_requests_of_one: int
    """Requests for one answer on one aspect."""
    bytes_of_one: float
    """Bytes of the questions in one request."""


def questions_of(judge: JudgeSettings, rows: Sequence[Example]) -> Questions | None:
    """Return what a judge asks about the answers to these rows; None where it judges none of them.

    Raises DataError where a row lacks a column that aspects are asked by.
    """
    counts = {
        aspect: sum(n_aspects(judge, (aspect,), row) for row in rows) for aspect in judge.verdict_aspects()
    }
    on = {aspect: n for aspect, n in counts.items() if n}
    if not on:
        return None
    n_requests, of_one = judge.n_requests(tuple(on)), judge.n_requests((*on,)[:1])
    # each question is in as many requests as one alone would be
    return Questions(on, n_requests, of_one, _rubric_bytes(judge, on) * of_one / n_requests)


def writes(judge: JudgeSettings, model: EngineSettings) -> bool:
    """Test whether a judge's model replies in words, and does not only decide."""
    return judge.judge == "rubric" or (judge.judge == "pairwise" and model.engine == "openai")


def _rubric_bytes(judge: JudgeSettings, aspects: Iterable[str]) -> float:
    """Bytes of the questions and levels of these aspects."""
    if not isinstance(judge, RubricSettings):
        return 0.0
    asked = judge.asked()
    return sum(
        len("".join((asked[name].question, *(asked[name].levels or ()))).encode())
        for name in aspects
        if name in asked
    )
