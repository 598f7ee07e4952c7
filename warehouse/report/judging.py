"""Caveats of model judges: their accuracy where answers were also checked by rule or labelled by people."""

from collections.abc import Mapping

from dsl.messages import one_line
from warehouse.charts.judge_against_checks import CHANCE, differs_from_chance
from warehouse.charts.theme import Order, Row, Rows, number, place
from warehouse.report.caveats import Caveat
from warehouse.report.prose import counted, listed


def judging(
    opinions: Mapping[str, str], checked: Rows, people: Rows, compared: Rows, order: Order, stands_alone: bool
) -> list[Caveat]:
    """Return the caveat of each judge that decides by opinion.

    Args:
        opinions: judge -> whose opinion it is.
        checked: rows of `judge_against_checks`, in the study's order.
        people: rows of `judge_agreement` in which one side is people's labels.
        compared: rows of `win_rate_by_method`.
        order: the study's.
        stands_alone: whether the answer rests on opinions alone.
    """
    return [
        _caveat(
            judge,
            one_line(whose),
            [row for row in checked if row["judge"] == judge],
            [row for row in people if judge in (row["judge_a"], row["judge_b"]) and row["n"]],
            _flips([row for row in compared if row["judge"] == judge and row["n_inconsistent"] is not None]),
            order,
            stands_alone,
        )
        for judge, whose in opinions.items()
    ]


def _caveat(
    judge: str, whose: str, rows: Rows, people: Rows, flips: str, order: Order, stands_alone: bool
) -> Caveat:
    standings = {_standing(row) for row in rows if row["auc"] is not None}
    said = " ".join(
        [
            _said(judge, whose, rows, order, bool(people or flips)),
            *([f"It {flips}."] if flips else []),
            *_beside_people(judge, people, order),
        ]
    )
    if "worse" in standings:
        where = listed(
            list(
                dict.fromkeys(
                    row["language"] for row in rows if row["auc"] is not None and _standing(row) == "worse"
                )
            )
        )
        return Caveat(
            6 if stands_alone else 3,
            f"`{judge}` is {whose}, and judges worse than chance in {where}.",
            said,
        )
    if "better" in standings or people:
        return Caveat(1, f"`{judge}` is {whose}.", said)
    why = (
        "it does not differ significantly from chance"
        if "chance" in standings
        else "how well it judges was not measured here"
    )
    if flips and "chance" not in standings:
        why = f"it {flips}"
    return Caveat(4 if stands_alone else 2, f"`{judge}` is {whose}; {why}.", said)


def _flips(rows: Rows) -> str:
    """Say how often a pairwise judge changed the winner when the two answers changed places."""
    n, n_flipped = sum(row["n"] for row in rows), sum(row["n_inconsistent"] for row in rows)
    return (
        f"changed its verdict with the order of the two answers in {n_flipped} of {counted(n, 'pair')}"
        if n
        else ""
    )


def _beside_people(judge: str, people: Rows, order: Order) -> list[str]:
    """Agreement with people over all languages and in each, or that it was not measured."""
    said: list[str] = []
    for other in dict.fromkeys(_other(judge, row) for row in people):
        rows = {row["language"]: row for row in people if _other(judge, row) == other}
        measured = {name: row for name, row in rows.items() if row["krippendorff_alpha"] is not None}
        if "all" not in measured:
            continue
        whole = measured["all"]
        parts = [f"{_alpha(measured[one])} in {one}" for one in order.languages if one in measured]
        lacking = [one for one in order.languages if one not in measured]
        parts += [f"not measured in {listed(lacking)}"] if lacking else []
        by_language = f": {'; '.join(parts)}" if len(order.languages) > 1 else ""
        said.append(
            f"{number(whole['krippendorff_alpha'])} with `{other}` (n = {whole['n']} answers){by_language}"
        )
    if not said:
        return ["Its agreement with people was not measured."]
    return [f"Its agreement with people, Krippendorff's α, is {listed(said)}."]


def _other(judge: str, row: Row) -> str:
    """Return people's measure in a row of agreement."""
    return row["measure_b" if row["judge_a"] == judge else "measure_a"]


def _alpha(row: Row) -> str:
    return f"{number(row['krippendorff_alpha'])} (n = {row['n']})"


def _said(judge: str, whose: str, rows: Rows, order: Order, is_labelled: bool) -> str:
    if not any(row["n"] for row in rows):
        return f"`{judge}` is {whose}" + (
            "." if is_labelled else "; how well it judges was not measured here."
        )
    if len({(row["dataset"], row["measure"], row["checked_measure"]) for row in rows}) > 1:
        return f"`{judge}` is {whose}. {_counted(rows)}"
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    said = [f"`{rows[0]['measure']}` is {whose}.", *_by_language(ranked)]
    return " ".join(said)


def _by_language(rows: Rows) -> list[str]:
    """Every language's number, those of one standing together; then the languages that have none."""
    standings: dict[str, list[str]] = {}
    for row in rows:
        if row["auc"] is not None:
            of_pairs = "" if standings else " of pairs"
            n = f"(n = {row['n_right']} right, {row['n_wrong']} wrong)"
            standings.setdefault(_standing(row), []).append(
                f"{_share(row)}{of_pairs} in {row['language']} {n}"
            )
    named = "; ".join(f"{listed(places)}, {_CONCLUSIONS[standing]}" for standing, places in standings.items())
    missing = [f"in {row['language']} ({_why_not(row)})" for row in rows if row["auc"] is None]
    checked = f"On the answers that `{rows[0]['checked_measure']}` checked"
    return [
        *([f"{checked}, it puts a right one above a wrong one in {named}."] if named else []),
        *([f"How well it judges can't be measured {listed(missing)}."] if missing else []),
    ]


def _counted(rows: Rows) -> str:
    """Summarise several measures, checks or data sets; each number is in the section's figure."""
    found = [row for row in rows if row["auc"] is not None]
    if not found:
        return (
            "How well it judges can't be measured here: wherever answers were checked, all are right or all"
            " are wrong."
        )
    shares = sorted(row["auc"] for row in found)
    standings = [_standing(row) for row in found]
    parts = [
        f"{n} {'is' if n == 1 else 'are'} {words}"
        for standing, words in _COUNTED.items()
        if (n := standings.count(standing))
    ]
    return (
        "Where answers were checked by rule too, it puts a right one above a wrong one in"
        f" {_percent(shares[0])} to {_percent(shares[-1])} of pairs. Of {counted(len(found), 'such share')},"
        f" by measure and language, {listed(parts)}."
    )


def _standing(row: Row) -> str:
    if row["ci_low"] is None:
        return "unknown"
    if not differs_from_chance(row):
        return "chance"
    return "better" if row["auc"] > CHANCE else "worse"


def _share(row: Row) -> str:
    if row["ci_low"] is None:
        return _percent(row["auc"])
    # A bound beside one half is not rounded to it.
    decimals = int(any(0 < abs(row[bound] - CHANCE) < 0.005 for bound in ("ci_low", "ci_high")))
    return (
        f"{_percent(row['auc'], decimals)} [{_percent(row['ci_low'], decimals)},"
        f" {_percent(row['ci_high'], decimals)}]"
    )


def _why_not(row: Row) -> str:
    if not row["n"]:
        return "no answer was scored by both"
    return f"all {row['n']} such answers are {'right' if row['n_right'] else 'wrong'}"


def _percent(share: float, decimals: int = 0) -> str:
    return f"{number(100 * share, decimals)}%"


_CONCLUSIONS = {
    "better": "which is better than chance",
    "worse": "which is worse than chance",
    "chance": "which does not differ significantly from chance",
    "unknown": "too little for an interval",
}

_COUNTED = {
    "better": "better than chance",
    "worse": "worse than chance",
    "chance": "not significantly different from chance",
    "unknown": "too little for an interval",
}
