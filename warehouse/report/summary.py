"""The first screen of a report in any format: the answer, what it does not support, how far to trust it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from warehouse.charts.theme import Rows, place
from warehouse.report.answer import Answer, differences, interactions, told
from warehouse.report.caveats import Caveat, caveats
from warehouse.report.judging import judging
from warehouse.report.means import best_methods, by_size, leaders
from warehouse.report.prose import CORRECTIONS, counted, listed, value_range
from warehouse.report.sections.noise import false_findings
from warehouse.report.sections.power import detectable
from warehouse.report.study import StudyRows
from warehouse.report.wording import Wording


@dataclass(frozen=True, slots=True)
class Summary:
    """Sentences; names of methods and measures that come from the study's data stand between backticks."""

    findings: tuple[str, ...]
    """The answer: significant differences, in the order in which the study declares them."""
    unsupported: tuple[str, ...]
    """Differences looked for and not found."""
    trust: tuple[str, ...]
    """Reasons to trust it or not, in a line."""
    notes: tuple[str, ...]
    """Notes of the study itself."""
    caveats: tuple[Caveat, ...]
    """The main one first."""

    @property
    def main_caveat(self) -> str | None:
        """The heaviest caveat that the line of trust does not hold yet."""
        return next((one.headline for one in self.caveats if one.headline not in self.trust), None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Notes and caveats, each in full."""
        return (*self.notes, *(caveat.whole for caveat in self.caveats))


def summary(study: StudyRows) -> Summary:
    scores = study.of_interest(study.views["score_by_method_language"])
    contrasts = study.compared(study.views["contrast_by_language_and_size"])
    opinions = study.opinions()
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
    found = caveats(
        contrasts,
        scores,
        study.views["unscored_by_judge"],
        study.of_interest(study.views["score_by_model_size"]),
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
        [row for row in study.views["training_curve"] if row["diverged_at_step"] is not None],
        [step for step in study.steps if step["facts"].get("n_out_of_memory")],
        study.views["plans_by_judge"],
        study.served,
    )
    said = _answer(study, contrasts, scores)
    return Summary(
        findings=said.supported,
        unsupported=said.unsupported,
        trust=_trust(study, contrasts, scores, judges),
        notes=tuple(study.experiment["notes"]),
        caveats=tuple(found),
    )


def _answer(study: StudyRows, contrasts: Rows, scores: Rows) -> Answer:
    """Say what tests found; where none was asked for, the means."""
    trends = [*study.views["size_trend"], *study.views["language_gap_size_trend"]]
    gaps = study.in_order(study.views["language_gap"])
    declared = interactions(gaps, study.in_order(trends), study.order, study.words)
    sizes = by_size(scores, study.order)
    if not contrasts and sizes:
        return Answer((*declared.supported, *sizes), declared.unsupported)
    if not contrasts and (declared.supported or declared.unsupported):
        return declared
    asked = [row["contrast"] for row in study.contrasts]
    ranked = sorted(contrasts, key=lambda row: place(asked, row["contrast"]))
    tested = differences(ranked, study.order, study.words, detectable(study))
    is_tested = any(row["ci_low"] is not None for row in contrasts)
    highest = leaders(best_methods(scores, study.order), len(study.order.methods))
    means = () if is_tested else sizes or (highest,)
    return Answer(
        (*declared.supported, *tested.supported, *means), (*declared.unsupported, *tested.unsupported)
    )


def _trust(study: StudyRows, contrasts: Rows, scores: Rows, judges: Sequence[Caveat]) -> tuple[str, ...]:
    """Questions and seeds, who judges and how well, the width of intervals, and the number of tests.

    All of what the answer rests on: what was declared, else what was compared, else the means.
    """
    declared = [row for row in contrasts if row["family"] == "confirmatory"]
    rests_on = declared or contrasts or scores
    tested = [row for row in declared or contrasts if row["ci_low"] is not None]
    counts = [row["n"] for row in tested or rests_on if row["n"]]
    seeds = [row["n_seeds"] for row in rests_on if row["scope"] or (row["n_seeds"] or 0) > 1]
    items = [f"{value_range(counts)} questions"] if counts else []
    runs = [f"{value_range(seeds)} training seed{'' if set(seeds) == {1} else 's'}"] if seeds else []
    used = dict.fromkeys(row["judge"] for row in rests_on)
    opinions = study.opinions()
    known = study.words.judges
    people = [f"`{judge}`" for judge in used if judge not in known or known[judge]["is_people"]]
    rules = [f"`{judge}`" for judge in used if judge not in opinions and f"`{judge}`" not in people]
    return tuple(
        said
        for said in (
            f"{'Comparisons' if contrasts else 'Means'} rest on {listed([*items, *runs])}."
            if items or runs
            else "",
            *(
                f"{listed(names)} {'is' if len(names) == 1 else 'are'} decided by {whom}."
                for names, whom in ((rules, "rule"), (people, "people"))
                if names
            ),
            *_opinions({judge: one for judge, one in zip(opinions, judges, strict=True) if judge in used}),
            _precision(told(contrasts), study.words),
            _noise(study, rests_on),
        )
        if said
    )


def _opinions(judges: Mapping[str, Caveat]) -> Iterator[str]:
    """The judge that leaves most open, in full; the others by name."""
    if judges:
        worst = max(judges, key=lambda judge: judges[judge].weight)
        yield judges[worst].headline
        others = [f"`{judge}`" for judge in judges if judge != worst]
        if others:
            yield f"{listed(others)} {'is an opinion' if len(others) == 1 else 'are opinions'} too."


def _noise(study: StudyRows, rests_on: Rows) -> str:
    """Tell by how much methods differ from themselves on the first measure, and how often falsely so."""
    again = study.in_order(study.views["noise_by_method_language"])
    measures = [row["measure"] for row in rests_on]
    first = next((row for row in again if row["measure"] in measures), None)
    if first is None:
        return ""
    shown = [row for row in again if (row["dataset"], row["measure"]) == (first["dataset"], first["measure"])]
    floor = max((abs(row["estimate"]) for row in shown if row["estimate"] is not None), default=None)
    if floor is None:
        return ""
    by = f"by up to {study.words.difference(first, floor, None, None)}" if floor > 1e-9 else "by nothing"
    return (
        f"Noise floor: asked again, a method differs from itself {by} on `{first['measure']}`;"
        f" {false_findings(again)}"
    )


def _precision(tested: Rows, words: Wording) -> str:
    """Tell how far a difference is known, and the level of the answer's intervals."""
    if not tested:
        return ""
    first = tested[0]
    halves = [
        (row["ci_high"] - row["ci_low"]) / 2
        for row in tested
        if row["measure"] == first["measure"] and row["ci_high"] > row["ci_low"]
    ]
    width = words.difference(first, median(halves), None, None) if halves else ""
    known = f"a difference in `{first['measure']}` is known to ±{width}" if halves else ""
    n_tests = max(row["n_tests"] or 0 for row in tested if row["family"] == first["family"])
    over = f"{CORRECTIONS[first['correction']]} for {counted(n_tests, first['family'] + ' test')}"
    tests = f"the answer's intervals are at the level of {over}" if n_tests else ""
    said = "; ".join(filter(None, (known, tests)))
    return f"{said[0].upper()}{said[1:]}." if said else ""
