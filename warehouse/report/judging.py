"""What is said of a judge that is a model: how well it judges, where the same answers were checked by rule too."""

from collections.abc import Mapping

from dsl.words import one_line
from warehouse.charts.judge_against_checks import CHANCE, is_told_from_chance
from warehouse.charts.theme import Order, Row, Rows, number, place
from warehouse.report.prose import counted, listed


def judging(judge_models: Mapping[str, str], checked: Rows, order: Order) -> list[str]:
    """A sentence or two for each judge that is a model.

    `judge_models` maps it to that model's name; `checked` are the rows of `judge_against_checks`, in the study's order.
    """
    return [
        _said(judge, one_line(model), [row for row in checked if row["judge"] == judge], order) for judge, model in judge_models.items()
    ]


def _said(judge: str, model: str, rows: Rows, order: Order) -> str:
    if not any(row["n"] for row in rows):
        return f"`{judge}` is the opinion of a model, {model}; how well it judges was not measured here."
    if len({(row["dataset"], row["measure"], row["checked_measure"]) for row in rows}) > 1:
        return f"`{judge}` is the opinion of a model, {model}. {_counted(rows)}"
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    said = [f"`{rows[0]['measure']}` is the opinion of a model, {model}.", *_by_language(ranked)]
    return " ".join(said)


def _by_language(rows: Rows) -> list[str]:
    """Every language's number, those of one standing together; then the languages that have none."""
    standings: dict[str, list[str]] = {}
    for row in rows:
        if row["auc"] is not None:
            of_pairs = "" if standings else " of pairs"
            n = f"(n = {row['n_right']} right, {row['n_wrong']} wrong)"
            standings.setdefault(_standing(row), []).append(f"{_share(row)}{of_pairs} in {row['language']} {n}")
    told = "; ".join(f"{listed(places)}, {_CONCLUSIONS[standing]}" for standing, places in standings.items())
    missing = [f"in {row['language']} ({_why_not(row)})" for row in rows if row["auc"] is None]
    checked = f"On the answers that `{rows[0]['checked_measure']}` checked"
    return [
        *([f"{checked}, it puts a right one above a wrong one in {told}."] if told else []),
        *([f"How well it judges can't be measured {listed(missing)}."] if missing else []),
    ]


def _counted(rows: Rows) -> str:
    """What several measures, checks or data sets come to; each number is in the section's figure."""
    found = [row for row in rows if row["auc"] is not None]
    if not found:
        return "How well it judges can't be measured here: wherever answers were checked, all are right or all are wrong."
    shares = sorted(row["auc"] for row in found)
    standings = [_standing(row) for row in found]
    parts = [f"{n} {'is' if n == 1 else 'are'} {words}" for standing, words in _COUNTED.items() if (n := standings.count(standing))]
    return (
        f"Where answers were checked by rule too, it puts a right one above a wrong one in {_percent(shares[0])} to {_percent(shares[-1])} "
        f"of pairs. Of {counted(len(found), 'such share')}, by measure and language, {listed(parts)}."
    )


def _standing(row: Row) -> str:
    if row["ci_low"] is None:
        return "unknown"
    if not is_told_from_chance(row):
        return "chance"
    return "better" if row["auc"] > CHANCE else "worse"


def _share(row: Row) -> str:
    if row["ci_low"] is None:
        return _percent(row["auc"])
    # A bound beside one half is not rounded to it.
    decimals = int(any(0 < abs(row[bound] - CHANCE) < 0.005 for bound in ("ci_low", "ci_high")))
    return f"{_percent(row['auc'], decimals)} [{_percent(row['ci_low'], decimals)}, {_percent(row['ci_high'], decimals)}]"


def _why_not(row: Row) -> str:
    if not row["n"]:
        return "no answer was scored by both"
    return f"all {row['n']} such answers are {'right' if row['n_right'] else 'wrong'}"


def _percent(share: float, decimals: int = 0) -> str:
    return f"{number(100 * share, decimals)}%"


_CONCLUSIONS = {
    "better": "which is better than tossing a coin",
    "worse": "which is worse than tossing a coin",
    "chance": "which can't be told from tossing a coin",
    "unknown": "too little for an interval",
}

_COUNTED = {
    "better": "better than tossing a coin",
    "worse": "worse than tossing a coin",
    "chance": "not told from tossing a coin",
    "unknown": "too little for an interval",
}
