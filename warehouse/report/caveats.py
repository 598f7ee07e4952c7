"""Caveats of an answer, made from the numbers; one of them is the main caveat, by rule."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from dsl.messages import one_line
from warehouse.charts.theme import Rows, number
from warehouse.report.prose import CORRECTIONS, counted, listed, value_range
from warehouse.served_models import ServedModels

FEW_ITEMS = 100
"""Below this many items the width of the intervals is spoken of."""

VERY_FEW_ITEMS = 30
"""Below this many it is what a reader must know first, unless the judge is worse than none."""

MANY_UNSCORED = 0.1
SOME_UNSCORED = 0.02


@dataclass(frozen=True, slots=True)
class Caveat:
    """One reason not to believe an answer too soon."""

    weight: int
    """The heaviest is the main caveat. 6: a judge that is worse than chance. 5: so few items, or so
    much unscored, that most is open. 4: an answer that rests on opinions which nothing confirms, or on
    another model than was asked. 3: few items; an opinion beside checks that is worse than chance. 2: the
    like, smaller. 1: what always has to be said."""
    headline: str
    """In one line."""
    said: str = ""
    """In full, where that is more."""

    @property
    def whole(self) -> str:
        return self.said or self.headline


def caveats(
    contrasts: Rows,
    scores: Rows,
    unscored: Rows,
    sizes: Rows = (),
    opinions: Sequence[Caveat] = (),
    own_items: Sequence[str] = (),
    mixed: Rows = (),
    mended: Sequence[tuple[str, str]] = (),
    diverged: Rows = (),
    split: Rows = (),
    plans: Rows = (),
    served: ServedModels | None = None,
) -> list[Caveat]:
    """The heaviest first; the study's own notes come on top.

    Args:
        contrasts: differences that the answer may rest on.
        scores: means that it may rest on.
        unscored: what each judge left out, all of the study's.
        sizes: means over languages.
        opinions: what is to be said of judges that decide by opinion.
        own_items: data sets whose languages have items of their own.
        mixed: makers of rows that were not all made alike.
        mended: models or judges, and what was mended in their checkpoints when they were loaded, for each
            step.
        diverged: rows of trainings whose loss was no longer finite at some step.
        split: steps of trainings that ran out of memory and went on with smaller batches.
        plans: counts of all that was applied on the study's data sets and judges.
        served: what servers say of the models that answered.
    """
    tested = [row for row in contrasts if row["ci_low"] is not None]
    found = [
        *opinions,
        _small(tested, scores),
        _left_out(unscored, {row["measure"] for row in scores}),
        _languages(sizes),
        _one_run([*tested, *scores]),
        _own_items(own_items),
        _mixed(mixed),
        _served(served),
        _mended(mended),
        _diverged(diverged),
        _split(split),
        _applied(plans),
        _tests(tested),
    ]
    return sorted((caveat for caveat in found if caveat), key=lambda caveat: -caveat.weight)


def _small(tested: Rows, scores: Rows) -> Caveat | None:
    """Small samples, and the differences that intervals of that width would miss."""
    tested = [row for row in tested if row["family"] == "confirmatory"] or tested
    counts = [row["n"] for row in tested or scores if row["n"]]
    if not counts or min(counts) >= FEW_ITEMS:
        return None
    weight = 5 if min(counts) < VERY_FEW_ITEMS else 3
    if not tested:
        return Caveat(weight, f"Small samples: means rest on {value_range(counts)} questions.")
    measure = tested[0]["measure"]
    said = f"Small samples: comparisons rest on {value_range(counts)} questions."
    halves = [
        (row["ci_high"] - row["ci_low"]) / 2
        for row in tested
        if row["measure"] == measure and row["ci_high"] > row["ci_low"]
    ]
    if not halves:
        return Caveat(weight, said)
    width = number(median(halves))
    return Caveat(weight, said, f"{said} On `{measure}` their intervals reach ±{width} in the median.")


def _tests(tested: Rows) -> Caveat | None:
    """Number of tests and their correction for multiple testing."""
    families = {
        row["family"]: (row["n_tests"], CORRECTIONS[row["correction"]]) for row in tested if row["n_tests"]
    }
    if sum(n for n, _ in families.values()) < 2:
        return None
    said = listed([f"{n} {family} ({correction})" for family, (n, correction) in sorted(families.items())])
    headline = f"Differences tested: {said}."
    return Caveat(
        1,
        headline,
        f"{headline} Significant means after that correction; the intervals drawn are the uncorrected ones.",
    )


def _languages(sizes: Rows) -> Caveat | None:
    """Means over languages that a judge need not be equally strict in."""
    measures = list(dict.fromkeys(f"`{row['measure']}`" for row in sizes if row["warning"]))
    if not measures:
        return None
    named = listed(measures) if len(measures) <= 3 else counted(len(measures), "measure")
    return Caveat(
        2, f"Compare means on {named} within a language only: the judge need not be equally strict in each."
    )


def _one_run(rows: Rows) -> Caveat | None:
    """Results of methods that were trained once."""
    if not any(row.get("scope") for row in rows):
        return None
    return Caveat(
        2,
        "Where a method was trained with one seed, intervals and tests are for this one trained model:"
        " another training run may differ.",
    )


def _own_items(datasets: Sequence[str]) -> Caveat | None:
    """Languages that were asked different things."""
    if not datasets:
        return None
    return Caveat(
        2,
        f"Each language has items of its own on {listed(list(datasets))}: a gap between languages may be one"
        " between items.",
    )


_ORIGINS = {
    "n_codes": "versions of the code",
    "n_devices": "kinds of device",
    "n_dtypes": "precisions",
    "n_versions": "sets of libraries",
}
"""Column -> what rows can differ in that are compared."""


def _mixed(mixed: Rows) -> Caveat | None:
    """Rows that differ in more than what the study varies."""
    if not mixed:
        return None
    said = [
        f"{row['kind']} ({row['made_by']}) by"
        f" {listed([f'{row[column]} {name}' for column, name in _ORIGINS.items() if row[column] > 1])}"
        for row in mixed
    ]
    headline = "Rows that are compared were not all made alike."
    return Caveat(
        2,
        headline,
        f"{headline} {'; '.join(said)}. `reuse: same_fingerprint` makes again what other code made.",
    )


def _served(served: ServedModels | None) -> Caveat | None:
    """Answers of servers that name another model than they were asked for, or now one and now another."""
    if served is None or not served.notes:
        return None
    headline = f"{'Another model' if served.others else 'More than one model'} answered than was asked."
    return Caveat(4 if served.others else 2, headline, " ".join(served.notes))


def _mended(mended: Sequence[tuple[str, str]]) -> Caveat | None:
    """Checkpoints whose parts did not fit together."""
    if not mended:
        return None
    headline = "Checkpoints were mended when they were loaded."
    return Caveat(
        2,
        headline,
        f"{headline} {' '.join(dict.fromkeys(f'`{models}`: {what}.' for models, what in mended))}",
    )


def _diverged(rows: Rows) -> Caveat | None:
    """Trainings that were ended early, with weights of an earlier step."""
    trainings = {row["step_id"]: row for row in reversed(rows)}
    if not trainings:
        return None
    said: list[str] = []
    for row in reversed(trainings.values()):
        seed = "" if row["seed"] is None else f"seed {row['seed']}"
        facts = [row["model"], f"tuned on {row['train_languages']}", seed, row["varied"] or ""]
        said.append(f"{row['method']} ({', '.join(filter(None, facts))}) at step {row['diverged_at_step']}")
    headline = f"{counted(len(trainings), 'training')} diverged."
    return Caveat(
        2,
        headline,
        f"{headline} {one_line(listed(said))}: the weights of the best evaluation before that are used.",
    )


def _split(steps: Rows) -> Caveat | None:
    """Trainings that ended with smaller batches than they began with."""
    if not steps:
        return None
    said = dict.fromkeys(
        f"{step['kind']} ({', '.join(step['models'] or ())}) ended with batches of"
        f" {step['facts']['per_device_train_batch_size']}, accumulated over"
        f" {step['facts']['gradient_accumulation_steps']}"
        for step in steps
    )
    headline = f"{counted(len(steps), 'training')} ran out of memory and went on with smaller batches."
    return Caveat(
        1,
        headline,
        f"{headline} {one_line(listed(list(said)))}: optimiser steps saw the rows that were asked for.",
    )


def _applied(plans: Rows) -> Caveat | None:
    """Number of plans on the data set and judge that had the most of them, each a further look at the same
    answers, and contrasts that came after a result."""
    if not plans:
        return None
    most = max(plans, key=lambda row: (row["n_added"], row["n_plans"]))
    if most["n_plans"] == 1:
        return None
    studies = f" of {most['n_studies']} studies" if most["n_studies"] > 1 else ""
    headline = (
        f"{counted(most['n_plans'], 'plan')}{studies} with {counted(most['n_cells'], 'cell')} were applied on"
        f" {most['dataset']} and `{most['judge']}`; {counted(most['n_added'], 'contrast')} of"
        f" {most['n_contrasts']} {'was' if most['n_added'] == 1 else 'were'} added after the first result."
    )
    fixed = f"{most['fixed_at']:%Y-%m-%d %H:%M} UTC (SHA-256 {most['contrasts_sha256'][:12]})"
    return Caveat(
        3 if most["n_added"] else 1, headline, f"{headline} Today's contrasts were fixed on {fixed}."
    )


def _left_out(unscored: Rows, measures: Collection[str]) -> Caveat | None:
    """Share of unscored verdicts and the most common reason.

    It weighs as much as its share of the `measures` that the answer rests on.
    """
    missing = sum(row["n_unscored"] for row in unscored)
    if not missing:
        return None
    verdicts = missing + sum(row["n"] for row in unscored)
    worst = max(unscored, key=lambda row: row["n_unscored"])
    reason = one_line(str(worst["most_common_reason"]))[:120]
    headline = f"{number(100 * missing / verdicts, 1)}% of {verdicts:,} verdicts are unscored"
    rested_on = [row for row in unscored if row["measure"] in measures]
    share = sum(row["n_unscored"] for row in rested_on) / max(
        1, sum(row["n"] + row["n_unscored"] for row in rested_on)
    )
    return Caveat(
        5 if share >= MANY_UNSCORED else 2 if share >= SOME_UNSCORED else 1,
        f"{headline}, most of them by `{worst['measure']}`.",
        f"{headline} (most of them by `{worst['measure']}`, most often: “{reason}”). They are left out of"
        " every mean and are not zeros.",
    )
