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
from warehouse.report.prose import CORRECTIONS, counted, listed, p_value, value_range
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


def _significant(tested: Rows, order: Order, words: Wording) -> list[str]:
    """A sentence for each contrast, measure and model, over its languages; then how many more there are."""
    mark = "Exploratory: " if tested and tested[0]["family"] == "exploratory" else ""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in tested:
        if row["is_significant"]:
            sides = (*_sides(row, words), str(row["method"]), row["dataset"], row["measure"], row["model"])
            groups.setdefault(sides, []).append(row)
    said = [_found(rows, order, words) for rows in list(groups.values())[:NAMED]]
    said = [mark + (one[0].lower() + one[1:] if mark and one.startswith("With ") else one) for one in said]
    more = sum(len(rows) for rows in list(groups.values())[NAMED:])
    if more:
        said.append(f"{mark}{counted(more, 'more difference')} {'is' if more == 1 else 'are'} significant.")
    return said


def _found(rows: Sequence[Row], order: Order, words: Wording) -> str:
    """One sentence for all languages in which one method does better than another on a measure."""
    first = rows[0]
    better, worse = _sides(first, words)
    named = {name: name if first["method"] else words.method(name) for name in (better, worse)}
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    places = [language_name(row["language"]) + _tuned(row, order) for row in ranked]
    means = {side: [words.mean(row, _mean(row, side)) for row in ranked] for side in (better, worse)}
    spread = listed([words.difference(row, abs(row["estimate"]), *_ends(row)) for row in ranked])
    n = f"n = {value_range(row['n'] for row in rows)}, {_p(rows)}"
    label = words.label(first)
    if words.is_error(first):
        of = listed([f"{mean} of {where}" for mean, where in zip(means[worse], places, strict=True)])
        fail = "fail" if words.is_critical(first) else "are flagged"
        what = label or f"`{first['measure']}`"
        return (
            f"With {named[worse]}, {of} answers {fail} ({what}){_model(first, order)}; with {named[better]},"
            f" {listed(means[better])}. Difference {spread} ({n})."
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
        f"{named[better]} beats {named[worse]} in {listed(places)}{_model(first, order)}: {what}"
        f" {where}. Difference {spread} ({n})."
    )


def _not_significant(tested: Rows, words: Wording, detectable: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in one sentence that nothing else is supported, and how large a difference would be missed."""
    rest = [row for row in tested if not row["is_significant"]]
    if not rest:
        return []
    kind = "Exploratory: no" if tested[0]["family"] == "exploratory" else "No"
    other = "other " if len(rest) < len(tested) else ""
    ties = sum(row["estimate"] == 0 for row in rest)
    alone = sum(bool(row["is_significant_uncorrected"]) for row in rest)
    asides = [
        *([f"{alone} {'is' if alone == 1 else 'are'} significant uncorrected"] if alone else []),
        *([f"{ties} {'is an exact tie' if ties == 1 else 'are exact ties'}"] if ties else []),
    ]
    aside = f"; {listed(asides)}" if asides else ""
    said = (
        f"{kind} {other}difference in {_measures(rest)} is significant"
        f" ({len(tested) - len(rest)} of {counted(len(tested), 'comparison')}{aside})."
    )
    return [said + _missed(rest, words, detectable)]


def _missed(rest: Rows, words: Wording, detectable: Sequence[Mapping[str, Any]]) -> str:
    """Say which differences such a study misses: those below the detectable one, or all of them."""
    hopeless = [row for row in rest if not row["could_be_significant"]]
    if hopeless:
        few, n_tests = value_range(row["n"] for row in hopeless), counted(hopeless[0]["n_tests"], "test")
        which = "none" if len(hopeless) == len(rest) else f"{len(hopeless)} of these"
        could = "could" if which == "none" else "could not"
        return (
            f" With {few} questions and {n_tests} ({CORRECTIONS[hopeless[0]['correction']]}), {which} {could}"
            " have been significant, whatever the answers."
        )
    first = rest[0]
    key = "effect_corrected" if first["family"] == "confirmatory" else "effect"
    effects = [row[key] for row in detectable if row["measure"] == first["measure"] and row[key] is not None]
    if not effects:
        return ""
    below = words.difference(first, median(effects), None, None)
    return f" Differences below about {below} on `{first['measure']}` would probably be missed."


def _explored(explored: Rows) -> list[str]:
    found = sum(bool(row["is_significant"]) for row in explored)
    n = counted(len(explored), "other comparison")
    return [f"Exploratory: {found} of {n} {'is' if found == 1 else 'are'} significant."]


def interactions(gaps: Rows, trends: Rows, order: Order) -> Answer:
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
        lead = f"The lead of {row['of']} over {row['against']} on {what}"
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
    """The simultaneous interval, of the whole family, seen from the better side."""
    low, high = row["ci_low_corrected"], row["ci_high_corrected"]
    if row["estimate"] < 0 and None not in (low, high):
        return -high, -low
    return low, high


def _tuned(row: Row, order: Order) -> str:
    sides = ((row["of"], row["of_train_languages"]), (row["against"], row["against_train_languages"]))
    tuned = [on for method, on in sides if on and on != row["language"] and method in order.retuned]
    return f" (tuned on {listed(list(dict.fromkeys(tuned)))})" if tuned else ""


def _measures(rows: Iterable[Row]) -> str:
    return listed([f"`{judge}`" for judge in dict.fromkeys(row["judge"] for row in rows)], "or")


def _model(row: Row, order: Order) -> str:
    if row.get("method"):  # between models: the sides name them
        return f" with {row['method']}" if len(order.methods) > 1 else ""
    return f" ({row['model']})" if len(order.models) > 1 else ""
