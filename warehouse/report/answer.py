"""The answer of a study in a few sentences, made from its numbers and never going beyond them.

A difference is *significant* when its test says so after correction over its family. Significant ones are
told in the order in which the study declares them: the largest first would be the luckiest first. What is not
supported is told once, with the differences that would have been missed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from warehouse.charts.theme import Order, Row, Rows, place, with_interval
from warehouse.report.prose import counted, listed, p_value, value_range
from warehouse.report.wording import Wording, language_name

NAMED = 3
"""Differences spelled out in the answer; the rest is counted and stands among the contrasts."""


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
    """Say which contrasts are significant, one sentence each, and what the study does not support.

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
    """A sentence for each contrast, measure and model, over its languages; then how many more there are."""
    mark = "Exploratory: " if tested and tested[0]["family"] == "exploratory" else ""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in tested:
        if row["is_significant"]:
            sides = (*_sides(row, words), str(row["method"]), row["dataset"], row["measure"], row["model"])
            groups.setdefault(sides, []).append(row)
    said = _glossed_once([_found(rows, order, words) for rows in list(groups.values())[:NAMED]], words)
    said = [mark + (one[0].lower() + one[1:] if mark and one.startswith("With ") else one) for one in said]
    more = sum(len(rows) for rows in list(groups.values())[NAMED:])
    if more:
        said.append(f"{mark}{counted(more, 'more difference')} {'is' if more == 1 else 'are'} significant.")
    return said


def _glossed_once(said: Iterable[str], words: Wording) -> list[str]:
    """Leave out what a method's name may not tell where an earlier sentence has told it."""
    named: set[str] = set()
    found: list[str] = []
    for sentence in said:
        for name in named:
            sentence = sentence.replace(words.method(name), name)
        named |= {name for name in words.glosses if words.method(name) in sentence}
        found.append(sentence)
    return found


def _found(rows: Sequence[Row], order: Order, words: Wording) -> str:
    """One sentence for all languages in which one method does better than another on a measure."""
    first = rows[0]
    better, worse = _sides(first, words)
    named = {name: name if first["method"] else words.method(name) for name in (better, worse)}
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    places = [language_name(row["language"]) + _tuned(row, order) for row in ranked]
    means = {side: [words.mean(row, _mean(row, side)) for row in ranked] for side in (better, worse)}
    spread = listed([words.difference(row, abs(row["estimate"]), *_ends(row)) for row in ranked])
    n = f"n = {value_range(row['n'] for row in rows)}, "
    tested = _p(rows) + _lost(rows) + _within_noise(rows, words)
    label = words.label(first)
    on = words.on(first) + _model(first, order)
    if words.is_error(first):
        # with several seeds an item has several answers
        is_once = all((row.get("n_seeds") or 1) == 1 for row in rows)
        counts = [f"{row['n']} " if is_once else "" for row in ranked]
        of = listed(
            [
                f"{mean} of {count}{where}"
                for mean, count, where in zip(means[worse], counts, places, strict=True)
            ]
        )
        return (
            f"With {named[worse]}, {of} answers{on} {words.fault(first)}; with"
            f" {named[better]}, {listed(means[better])}. Difference {spread}"
            f" ({'' if is_once else n}{tested})."
        )
    compared = [f"{a} against {b}" for a, b in zip(means[better], means[worse], strict=True)]
    where = listed(
        [
            f"{place} {value}" if len(rows) > 1 else value
            for place, value in zip(places, compared, strict=True)
        ]
    )
    what = f"`{first['measure']}`" + (f" ({label})" if label else "")
    return (
        f"{named[better]} beats {named[worse]} in {listed(places)}{on}: {what}"
        f" {where}. Difference {spread} ({n}{tested})."
    )


def _lost(rows: Sequence[Row]) -> str:
    """Say how many items were left out of the comparisons, one or several."""
    lost = [row.get("n_lost") or 0 for row in rows]
    return f"; {value_range(lost)} not scored on both sides" if any(lost) else ""


def _within_noise(rows: Sequence[Row], words: Wording) -> str:
    """Say that a method differs as much from itself, asked again."""
    below = [row for row in rows if row.get("is_below_noise")]
    if not below:
        return ""
    where = f" in {listed([language_name(row['language']) for row in below])}" if len(rows) > 1 else ""
    return (
        f"; within the noise floor of {words.difference(rows[0], rows[0]['noise_floor'], None, None)}{where}"
    )


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


def _sides(row: Row, words: Wording) -> tuple[str, str]:
    """(the better side, the other one); every measure that is compared is better the higher it is."""
    return (row["of"], row["against"]) if row["estimate"] > 0 else (row["against"], row["of"])


def _mean(row: Row, side: str) -> float:
    return float(row["mean_of" if side == row["of"] else "mean_against"])


def _ends(row: Row) -> tuple[float | None, float | None]:
    """The corrected interval, seen from the better side."""
    low, high = row["ci_low_corrected"], row["ci_high_corrected"]
    if row["estimate"] < 0 and None not in (low, high):
        return -high, -low
    return low, high


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
