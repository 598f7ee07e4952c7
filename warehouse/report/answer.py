"""The answer of a study in a few sentences, made from its numbers and never going beyond them.

A difference is *significant* when its test says so after correction over its family. All significant ones are
told, with the corrected interval, a sentence for each contrast in the order in which the study declares them:
the largest first would be the luckiest first. What is not supported is told once, with the differences that
would have been missed. Numbers of items and p-values stand beside the contrasts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from warehouse.charts.theme import Order, Row, Rows, place, with_interval
from warehouse.report.prose import counted, listed, p_value, value_range
from warehouse.report.wording import Wording, language_name

MOST_PLACES = 9
"""Models and languages of one contrast whose differences are spelled out; those of the rest are a range."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Sentences; names of measures that come from the study's data stand between backticks."""

    supported: tuple[str, ...]
    """Findings, in the order of the study."""
    unsupported: tuple[str, ...] = ()
    """Differences looked for and not found, or not to be found by this study."""


def differences(
    contrasts: Rows, order: Order, words: Wording, detectable: Sequence[Mapping[str, Any]] = ()
) -> Answer:
    """Say what is significant, in a sentence for each contrast, and what the study does not support.

    Args:
        contrasts: rows of contrasts in the order in which the study declares them.
        order: the study's.
        words: plain words for methods and measures.
        detectable: minimum detectable effects of contrasts.
    """
    if not contrasts:
        missing = (
            "The study names no contrast, so no difference is tested: add `baseline:` or `contrasts:` to its"
            " spec."
        )
        return Answer((), (missing,))
    tested = [row for row in contrasts if row["ci_low"] is not None]
    untested = len(contrasts) - len(tested)
    if not tested:
        none = (
            f"No difference can be tested: of {counted(len(contrasts), 'comparison')}, none has two items"
            " that were answered and scored on both sides."
        )
        return Answer((), (none,))
    declared = [row for row in tested if row["family"] == "confirmatory"]
    explored = [row for row in tested if row["family"] == "exploratory"]
    few = (f"{counted(untested, 'comparison')} had too few items for an interval.",) if untested else ()
    found = _significant(declared, order, words)
    others = [] if found else _significant(explored, order, words)
    rest = [
        *_not_significant(declared, words, detectable),
        *(_explored(explored) if found and explored else _not_significant(explored, words, detectable)),
    ]
    return Answer((*found, *others), (*rest, *few))


def told(contrasts: Rows) -> Rows:
    """The tested contrasts that the answer tells of: declared ones, unless only exploring found something."""
    tested = [row for row in contrasts if row["ci_low"] is not None]
    declared = [row for row in tested if row["family"] == "confirmatory"]
    explored = [row for row in tested if row["family"] != "confirmatory"]
    if any(row["is_significant"] for row in declared):
        return declared
    return explored if not declared or any(row["is_significant"] for row in explored) else declared


def _significant(tested: Rows, order: Order, words: Wording) -> list[str]:
    """A sentence for each contrast, over its measures, models and languages."""
    mark = "Exploratory: " if tested and tested[0]["family"] == "exploratory" else ""
    contrasts: dict[str, list[Row]] = {}
    for row in tested:
        if row["is_significant"]:
            contrasts.setdefault(row["contrast"], []).append(row)
    told: set[str] = set()
    return [f"{mark}{_found(rows, order, words, told)}" for rows in contrasts.values()]


def _found(rows: Rows, order: Order, words: Wording, told: set[str]) -> str:
    """One sentence for all that differs in a contrast. `told` are the names that were explained before."""
    first = rows[0]
    sides = [
        words.method(name) if first["method"] is None and _is_new(name, told) else name
        for name in (first["of"], first["against"])
    ]
    measures: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        measures.setdefault((row["dataset"], row["measure"]), []).append(row)
    said = "; ".join(_differing(found, order, words, told) for found in measures.values())
    return f"{' against '.join(sides)}: {said}."


def _is_new(name: str, told: set[str]) -> bool:
    is_new = name not in told
    told.add(name)
    return is_new


def _differing(rows: Rows, order: Order, words: Wording, told: set[str]) -> str:
    """The differences on one measure, languages within models, both in the order of the study."""
    ranked = sorted(
        rows,
        key=lambda row: (
            place(order.models, row["model"]),
            place(order.methods, row["method"] or ""),
            place(order.languages, row["language"]),
        ),
    )
    by_model: dict[str, list[str]] = {}
    for number, row in enumerate(ranked[:MOST_PLACES]):
        shown = _shown(row, words, *_interval(row, words))
        where = f"{language_name(row['language'])}{_tuned(row, order)}{_within_noise(row, words)}"
        by_model.setdefault(_model(row, order), []).append(
            f"{shown.removesuffix(' points') if number else shown} in {where}"
        )
    said = [f"{listed(places)}{model}" for model, places in by_model.items()]
    rest = sorted(_interval(row, words)[0] for row in ranked[MOST_PLACES:])
    if rest:
        least, most = (_shown(rows[0], words, value) for value in (rest[0], rest[-1]))
        said.append(f"and {len(rest)} more from {least.removesuffix(' points')} to {most}")
    return f"{_what(rows[0], words, told)} {', '.join(said)}"


def _what(row: Row, words: Wording, told: set[str]) -> str:
    """The measure that a difference is of; of an error, the answers that have it."""
    if words.is_error(row):
        return f"answers{words.on(row)} that {words.fault(row)}"
    name, label = f"`{row['measure']}`", words.label(row)
    return name + (f" ({label})" if label and _is_new(name, told) else "") + words.on(row)


def _interval(row: Row, words: Wording) -> tuple[float, float | None, float | None]:
    """(difference, the ends of its interval at the level at which the correction tests it).

    Of an error it is that of the shares that have it: measures are of freedom from it.
    """
    value, low, high = row["estimate"], row["ci_low_corrected"], row["ci_high_corrected"]
    if words.is_error(row):
        return -value, None if high is None else -high, None if low is None else -low
    return value, low, high


def _shown(
    row: Row, words: Wording, value: float, low: float | None = None, high: float | None = None
) -> str:
    return ("+" if value > 0 else "") + words.difference(row, value, low, high)


def _within_noise(row: Row, words: Wording) -> str:
    """Say that a method differs as much from itself, asked again."""
    if not row.get("is_below_noise"):
        return ""
    return f" (within the noise floor of {words.difference(row, row['noise_floor'], None, None)})"


def _not_significant(tested: Rows, words: Wording, detectable: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in one sentence that nothing else is supported, and how large a difference would be missed."""
    rest = [row for row in tested if not row["is_significant"]]
    if not rest:
        return []
    ties = sum(row["estimate"] == 0 for row in rest)
    alone = sum(bool(row["is_significant_uncorrected"]) for row in rest)
    asides = [
        *([f"{alone} {'is' if alone == 1 else 'are'} significant uncorrected"] if alone else []),
        *([f"{ties} {'is an exact tie' if ties == 1 else 'are exact ties'}"] if ties else []),
        *_too_small(rest),
    ]
    aside = f": {', and '.join(filter(None, (', '.join(asides[:-1]), asides[-1])))}" if asides else ""
    said = f"{_compared(rest, len(tested))} significant{aside}."
    if tested[0]["family"] == "exploratory":
        said = f"Exploratory: {said[0].lower()}{said[1:]}"
    return [said + _missed(rest, words, detectable)]


def _compared(rest: Rows, n: int) -> str:
    """Count the comparisons of which none is significant, out of `n`."""
    if len(rest) < n:
        others = counted(len(rest), "comparison").removeprefix("1 ")
        return f"The other {others} on {_measures(rest, 'and')} {'is' if len(rest) == 1 else 'are'} not"
    if n == 1:
        return f"The one comparison, on {_measures(rest)}, is not"
    return f"None of {n} comparisons on {_measures(rest)} is"


def _too_small(rest: Rows) -> list[str]:
    """Count the comparisons of so few items that nothing could have made them significant."""
    hopeless = [row for row in rest if not row["could_be_significant"]]
    if not hopeless:
        return []
    few, n_tests = value_range(row["n"] for row in hopeless), counted(hopeless[0]["n_tests"], "test")
    if len(hopeless) == len(rest):
        which = "all were" if len(rest) > 1 else "it was"
    else:
        which = f"{len(hopeless)} {'was' if len(hopeless) == 1 else 'were'}"
    questions = "question" if few == "1" else "questions"
    return [f"with {few} {questions} {which} too small to ever reach significance over {n_tests}"]


def _missed(rest: Rows, words: Wording, detectable: Sequence[Mapping[str, Any]]) -> str:
    """Say which differences such a study misses, where no comparison is too small to find any.

    The detectable difference is the one found with a probability of 80%.
    """
    if not all(row["could_be_significant"] for row in rest):
        return ""
    first = rest[0]
    key = "effect_corrected" if first["family"] == "confirmatory" else "effect"
    effects = [row[key] for row in detectable if row["measure"] == first["measure"] and row[key] is not None]
    if not effects:
        return ""
    below = words.difference(first, median(effects), None, None)
    return (
        f" A true difference below about {below} on `{first['measure']}` would be missed more than one time"
        " in five."
    )


def _explored(explored: Rows) -> list[str]:
    found = sum(bool(row["is_significant"]) for row in explored)
    n = counted(len(explored), "other comparison")
    return [f"Exploratory: {found} of {n} {'is' if found == 1 else 'are'} significant."]


def interactions(gaps: Rows, trends: Rows, order: Order, words: Wording) -> Answer:
    """Say which declared interactions with language or size are significant; then how many are not."""
    rows = [row for row in (*gaps, *trends) if row["family"] == "confirmatory"]
    tested = [row for row in rows if row["p_corrected"] is not None]
    said: list[str] = []
    for row in tested:
        if not row["is_significant"]:
            continue
        is_trend = "slope" in row
        change = row["slope" if is_trend else "estimate"]
        low, high = (row.get(f"{end}_corrected", row[end]) for end in ("ci_low", "ci_high"))
        if change < 0 and None not in (low, high):
            low, high = -high, -low
        value = with_interval(abs(change), low, high)
        what = f"freedom from `{row['measure']}`" if row.get("fault") else f"`{row['measure']}`"
        lead = f"The lead of {row['of']} over {row['against']} on {what}{words.on(row)}"
        language, other = language_name(row["language"]), language_name(row.get("other_language") or "")
        if is_trend:
            changes = "grows" if change > 0 else "shrinks"
            minus = f" minus that in {other}" if other else ""
            changed = f"in {language}{minus} {changes} by {value} for ten times the parameters"
        else:
            more = "larger" if change > 0 else "smaller"
            changed = f"is {value} {more} in {language} than in {other}{_model(row, order)}"
        said.append(f"{lead} {changed} ({_p([row])}).")
    missing: list[str] = []
    rest = len(tested) - len(said)
    if rest:
        missing.append(
            f"No significant interaction in {'the other ' if said else ''}{rest} of"
            f" {counted(len(tested), 'declared interaction')}."
        )
    reasons = {
        row.get("no_slope_reason") or "too few items": None for row in rows if row["p_corrected"] is None
    }
    missing += [f"A declared interaction can't be tested: {reason}." for reason in reasons]
    return Answer(tuple(said), tuple(missing))


def _p(rows: Sequence[Row]) -> str:
    """The largest of the corrected p-values."""
    highest = p_value(max(row["p_corrected"] for row in rows))
    relation = "=" if len(rows) == 1 else "≤"
    return f"corrected p {highest if highest.startswith('<') else f'{relation} {highest}'}"


def _tuned(row: Row, order: Order) -> str:
    sides = ((row["of"], row["of_train_languages"]), (row["against"], row["against_train_languages"]))
    tuned = [on for method, on in sides if on and on != row["language"] and method in order.retuned]
    return f" (tuned on {listed(list(dict.fromkeys(tuned)))})" if tuned else ""


def _measures(rows: Iterable[Row], last: str = "or") -> str:
    return listed([f"`{judge}`" for judge in dict.fromkeys(row["judge"] for row in rows)], last)


def _model(row: Row, order: Order) -> str:
    if row.get("method"):  # between models: the sides name them
        return f" with {row['method']}" if len(order.methods) > 1 else ""
    return f" ({row['model']})" if len(order.models) > 1 else ""
