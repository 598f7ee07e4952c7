"""`pairs`: preferences made of a policy's own answers, the best and the worst of several to each question.

An answer's score is the mean of the judge's aspects. Answers that were cut, that failed or that lack a score
are left out, as are questions whose answers tell nothing better from worse; all are counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

from dsl.data.records import Completion, Example, Verdict
from dsl.errors import DataError
from dsl.steps.steps import PairsStep
from runners.store.step_io import RowWriter, StepContext, StepResult, read_rows

FILE = "examples.jsonl"

_ENDED = frozenset({"eos", "stop"})


def run(step: PairsStep, context: StepContext, out: Path) -> StepResult:
    """Write `examples.jsonl`, one `Example` with `chosen` and `rejected` for each question that has a pair.

    Raises DataError where none has one.
    """
    scored = _scored(step, context)
    counts: Counter[str] = Counter(
        dict.fromkeys(("n_questions", "n_too_few", "n_ties", "n_equal", "n_answers_left_out"), 0)
    )
    margins: list[float] = []
    (out / FILE).unlink(missing_ok=True)  # from an earlier attempt: it costs nothing to make again
    with RowWriter(out / FILE) as writer:
        for example in read_rows(context[step.examples] / FILE, Example):
            answers = scored.get(example.item, [])
            counts["n_questions"] += 1
            counts["n_answers_left_out"] += len(step.samples) - len(answers)
            if len(answers) < 2:
                counts["n_too_few"] += 1
                continue
            best, worst = max(answers, key=_score), min(answers, key=_score)
            if best[0] == worst[0]:
                counts["n_ties"] += 1
            elif best[1] == worst[1]:
                counts["n_equal"] += 1
            else:
                margins.append(best[0] - worst[0])
                pair = {"chosen": best[1], "rejected": worst[1], "response": None}
                writer.write(example.model_copy(update=pair))
    if not margins:
        found = ", ".join(f"{name} = {n}" for name, n in counts.items())
        raise DataError(f"no question has a better and a worse answer: {found}")
    return StepResult(n_rows=len(margins), facts={**counts, "mean_margin": fmean(margins)})


def _scored(step: PairsStep, context: StepContext) -> Mapping[str, list[tuple[float, str]]]:
    """Item -> score and text of each answer that has both, in the order of the samples."""
    found: dict[str, list[tuple[float, str]]] = {}
    for sample, judged in zip(step.samples, step.verdicts, strict=True):
        scores: dict[str, list[float | None]] = {}
        for verdict in read_rows(context[judged.step] / "verdicts.jsonl", Verdict):
            if verdict.judge == judged.judge:
                scores.setdefault(verdict.item, []).append(verdict.score)
        for answer in _whole(read_rows(context[sample] / "completions.jsonl", Completion)):
            given = scores.get(answer.item, [None])
            if all(score is not None for score in given):
                score = fmean(score for score in given if score is not None)
                found.setdefault(answer.item, []).append((score, answer.text or ""))
    return found


def _whole(answers: Iterator[Completion]) -> Iterator[Completion]:
    return (answer for answer in answers if answer.text and answer.finish_reason in _ENDED)


def _score(answer: tuple[float, str]) -> float:
    return answer[0]
