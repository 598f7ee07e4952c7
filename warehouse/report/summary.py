"""The first screen of a report in any format: the answer, its uncertainty and its caveats."""

from dataclasses import dataclass

from warehouse.report import answer
from warehouse.report.caveats import Caveat, caveats
from warehouse.report.judging import judging
from warehouse.report.study import StudyRows


@dataclass(frozen=True, slots=True)
class Summary:
    """Sentences; names of methods and measures that come from the study's data stand between backticks."""

    findings: tuple[str, ...]
    """The answer."""
    leaders: str | None
    """Methods with the highest mean."""
    notes: tuple[str, ...]
    """Notes of the study itself."""
    caveats: tuple[Caveat, ...]
    """The main one first."""
    best: tuple[answer.Best, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Notes and caveats, without the main caveat where its one line is the whole of it."""
        return (
            *self.notes,
            *(
                caveat.whole
                for place, caveat in enumerate(self.caveats)
                if place or caveat.whole != caveat.headline
            ),
        )


def summary(study: StudyRows) -> Summary:
    scores = study.of_interest(study.views["score_by_method_language"])
    contrasts = study.compared(study.views["contrast_by_language_and_size"])
    best = answer.best_methods(scores, study.order)
    by_size = answer.by_size(scores, study.order)
    opinions = study.opinions()
    trends = [*study.views["size_trend"], *study.views["language_gap_size_trend"]]
    interactions = answer.interactions(
        study.in_order(study.views["language_gap"]), study.in_order(trends), study.order
    )
    judges = judging(
        opinions,
        study.in_order(study.views["judge_against_checks"]),
        [
            row
            for row in study.views["judge_agreement"]
            if "human" in (row["judge_kind_a"], row["judge_kind_b"])
        ],
        study.views["win_rate_by_method"],
        study.order,
        stands_alone=all(row["judge"] in opinions for row in scores),
    )
    sizes = study.of_interest(study.views["score_by_model_size"])
    found = caveats(
        contrasts,
        scores,
        study.views["unscored_by_judge"],
        sizes,
        judges,
        [
            name
            for name, is_parallel in study.experiment["parallel"].items()
            if not is_parallel and len(study.order.languages) > 1
        ],
        study.views["mixed_origins"],
        [
            (", ".join(step["judges"] or step["models"] or ()), step["facts"]["remedies"])
            for step in study.steps
            if step["facts"].get("remedies")
        ],
    )
    return Summary(
        findings=(
            *interactions,
            *(
                by_size
                or (
                    ()
                    if interactions and not contrasts
                    else answer.differences(contrasts, study.order, opinions)
                )
            ),
        ),
        leaders=None if by_size else answer.leaders(best, len(study.order.methods)),
        notes=tuple(study.experiment["notes"]),
        caveats=tuple(found),
        best=tuple(best),
    )
