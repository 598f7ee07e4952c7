"""The report's sections, in the order a reader asks for them: which views are drawn, with which columns beside them."""

from itertools import groupby
from typing import Any

from warehouse.charts import judge_against_checks
from warehouse.charts.critical_errors_by_cell import HEADINGS
from warehouse.charts.theme import Row, Rows, number, place
from warehouse.report import tables
from warehouse.report.figures import Section, by_dataset, by_measure, figure
from warehouse.report.study import NOT_A_MERIT, StudyRows, datasets
from warehouse.report.tables import Column

_COUNTS = (tables.count("n", "n"), tables.count("n_unscored", "unscored"))


def sections(study: StudyRows) -> list[Section]:
    """Everything that is drawn, from the scores down to what they cost."""
    return [
        _languages(study),
        _sizes(study),
        _contrasts(study),
        _errors(study),
        _training(study),
        _lengths(study),
        _unscored(study),
        _trust(study),
        _cost(study),
    ]


def _languages(study: StudyRows) -> Section:
    rows = study.of_interest(study.views["score_by_method_language"])
    columns = (
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("method", "method"),
        tables.text("train_languages", "tuned on"),
        tables.estimate("mean_score", "mean [95% interval]"),
        tables.decimal("standard_error", "standard error", 3),
        *_COUNTS,
        tables.count("n_seeds", "seeds"),
        tables.decimal("mean_characters", "mean characters", 0),
    )
    says = () if rows else ("Nothing has been scored yet.",)
    return Section(
        "languages",
        "Methods by language",
        says,
        by_measure(study, "score_by_method_language", rows, columns),
    )


def _sizes(study: StudyRows) -> Section:
    heading = "Methods by model size"
    rows = study.of_interest(study.views["score_by_model_size"])
    sizes = {row["num_parameters"] for row in rows if row["num_parameters"]}
    if len(sizes) < 2:
        size = f", of {next(iter(sizes)):,} parameters" if sizes else ""
        models = study.order.models
        says = (
            f"The study has one model{size}: there is nothing to compare by size."
            if len(models) == 1
            else "The sizes of these models are not known, or they are the same: there is nothing to compare by size."
        )
        return Section("sizes", heading, (says,))
    columns = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.count("num_parameters", "parameters"),
        tables.estimate("mean_score", "mean [95% interval]"),
        *_COUNTS,
        tables.count("n_items", "items"),
        tables.count("n_languages", "languages"),
    )
    says = ()
    if any(row["n_languages"] > 1 for row in rows):
        says = ("These are means over all languages, and a judge need not be equally strict in each. Read them as a trend.",)
    ranked = sorted(study.order.sort(rows), key=lambda row: row["num_parameters"] or 0)
    ranked = sorted(ranked, key=lambda row: place(study.order.methods, row["method"]))
    return Section("sizes", heading, says, by_measure(study, "score_by_model_size", ranked, columns))


def _contrasts(study: StudyRows) -> Section:
    rows = study.views["contrast_by_language_and_size"]
    if not rows:
        said = "Neither side of a contrast has been scored yet." if study.contrasts else "The study asks for no contrast."
        return Section("contrasts", "Contrasts", (said,))
    columns = (
        Column("contrast", lambda row: f"{row['of']} − {row['against']}"),
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("of_train_languages", "first tuned on"),
        tables.text("against_train_languages", "second tuned on"),
        tables.estimate("estimate", "difference [95% interval]"),
        tables.count("n", "n (pairs)"),
        tables.count("n_lost", "items lost"),
        tables.count("n_unscored", "unscored"),
        tables.decimal("mean_of", "mean, first"),
        tables.decimal("mean_against", "mean, second"),
        tables.decimal("mean_characters_of", "characters, first", 0),
        tables.decimal("mean_characters_against", "characters, second", 0),
    )
    said = "Differences are taken item by item, within a language, where both methods have a score; an item that one side lacks is lost."
    main = study.of_interest(rows)
    rest = [row for row in study.in_order(rows) if row not in main and study.kind_of(row) not in NOT_A_MERIT]
    view = "contrast_by_language_and_size"
    return Section(
        "contrasts",
        "Contrasts",
        (said,),
        by_measure(study, view, main, columns),
        more=by_measure(study, view, rest, columns, anchor="contrast-errors"),
        more_heading="Contrasts on freedom from critical errors",
    )


def _errors(study: StudyRows) -> Section:
    columns = (
        Column("error", lambda row: str(HEADINGS.get(row["error"], row["error"]))),
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("method", "method"),
        tables.text("train_languages", "tuned on"),
        Column("share [95% interval]", _percent_interval, is_number=True),
        *_COUNTS,
    )
    said = "Wilson's interval has a width even where no error was seen: none in 12 answers does not rule out one in five."
    return Section("errors", "Critical errors", (said,), by_dataset(study, "critical_errors_by_cell", columns))


def _training(study: StudyRows) -> Section:
    heading = "Training"
    logged = study.views["training_curve"]
    # What a method trained on top of is drawn with the method that it belongs to, where the study has that one too.
    own = {row["step_id"] for row in logged if row["is_last"]}
    rows = study.order.sort(row for row in logged if row["is_last"] or row["step_id"] not in own)
    if not rows:
        return Section("training", heading, ("Nothing was trained, or nothing has been logged yet.",))
    ends = [
        {**last, "first": group[0]["value"], "steps": len(group)}
        for _, found in groupby(sorted(rows, key=_curve_key), _curve_key)
        if (group := list(found)) and (last := group[-1])
    ]
    columns = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.text("train_languages", "tuned on"),
        tables.text("seed", "seed"),
        tables.text("name", "logged as"),
        tables.decimal("first", "first"),
        tables.decimal("value", "last"),
        tables.count("global_step", "at step"),
        tables.count("steps", "logged"),
        tables.text("step_id", "step"),
    )
    steps = study.steps_of(trained=True)
    made = figure(study, "training_curve", rows, columns, steps, anchor="curves", table_rows=study.order.sort(ends))
    return Section("training", heading, (), (made,))


def _lengths(study: StudyRows) -> Section:
    columns = (
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("method", "method"),
        tables.text("train_languages", "tuned on"),
        tables.decimal("mean_characters", "mean characters", 0),
        tables.decimal("median_characters", "median characters", 0),
        tables.decimal("mean_new_tokens", "mean new tokens", 1),
        tables.count("n", "n"),
        tables.count("n_missing", "missing"),
    )
    return Section("lengths", "Length", (), by_dataset(study, "length_by_method_language", columns))


def _unscored(study: StudyRows) -> Section:
    heading = "Unscored"
    rows = study.views["unscored_by_judge"]
    columns = (
        tables.text("measure", "measure"),
        tables.text("language", "language"),
        tables.text("method", "method"),
        tables.share("share_unscored", "unscored"),
        tables.count("n_unscored", "n unscored"),
        tables.count("n", "n scored"),
        tables.text("most_common_reason", "most common reason"),
    )
    if not any(row["n_unscored"] for row in rows):
        return Section("unscored", heading, ("Every verdict that was given has a score." if rows else "No verdict has been given yet.",))
    made = figure(study, "unscored_by_judge", [row for row in rows if row["n_unscored"]], columns, study.steps_of(), anchor="left-out")
    return Section("unscored", heading, (), (made,))


def _trust(study: StudyRows) -> Section:
    anchor, heading = "trust", "How far the judge can be trusted"
    rows = study.in_order(study.views["judge_against_checks"])
    if not study.judge_models():
        return Section(anchor, heading, ("No judge of this study is a model: all of them decide by rule.",))
    if not any(row["n"] for row in rows):
        return Section(
            anchor, heading, ("No answer was both judged by a model and checked by rule, so its opinion is held against nothing.",)
        )
    columns = (
        tables.text("measure", "opinion"),
        tables.text("checked_measure", "checked by"),
        tables.text("language", "language"),
        Column("right above wrong [95% interval]", judge_against_checks.written, is_number=True),
        tables.decimal("standard_error", "standard error", 3),
        tables.count("n_right", "n right"),
        tables.count("n_wrong", "n wrong"),
        tables.count("n_items", "items"),
        tables.count("n_unscored", "unscored"),
        tables.decimal("mean_of_right", "mean opinion of right"),
        tables.decimal("mean_of_wrong", "mean opinion of wrong"),
    )
    names = datasets(rows)
    said = (
        "The same answers were checked by rule. A judge that can tell a right answer from a wrong one puts the right one above in most "
        "pairs; one that tosses a coin does so in half of them."
    )
    made = tuple(
        figure(
            study,
            "judge_against_checks",
            found,
            columns,
            list(
                dict.fromkeys(
                    step for row in found for judge in (row["judge"], row["checked_judge"]) for step in study.steps_of(name, judge)
                )
            ),
            heading=f"on {name}" if len(names) > 1 else "",
            anchor=f"trusted-{number}",
        )
        for number, name in enumerate(names)
        if (found := [row for row in rows if row["dataset"] == name])
    )
    return Section(anchor, heading, (said,), made)


def _cost(study: StudyRows) -> Section:
    rows = [row for row in study.views["cost_by_step"] if row["is_done"]]
    if not rows:
        return Section("cost", "Cost", ("No step has finished yet.",))
    columns = (
        tables.text("kind", "kind"),
        tables.text("methods", "methods"),
        tables.text("languages", "languages"),
        tables.decimal("seconds", "seconds", 1),
        tables.decimal("load_seconds", "of them loading", 1),
        tables.count("n_rows", "rows"),
        tables.count("n_reused", "taken over"),
        tables.count("n_prompt_tokens", "prompt tokens"),
        tables.count("n_new_tokens", "new tokens"),
        tables.decimal("usd", "US dollars"),
        tables.size("peak_memory_bytes", "peak memory (GB)"),
        tables.count("n_attempts", "attempts"),
        tables.count("n_failed", "failed"),
        tables.text("step_id", "step"),
    )
    made = figure(study, "cost_by_step", rows, columns, [row["step_id"] for row in rows], anchor="spent")
    return Section("cost", "Cost", (_spent(rows),), (made,))


def _spent(rows: Rows) -> str:
    """The whole study's cost in a sentence."""

    def total(key: str) -> Any:
        return sum(row[key] or 0 for row in rows)

    said = f"{len(rows):,} steps took {number(total('seconds') / 60, 1)} minutes, for {total('n_prompt_tokens'):,} prompt tokens "
    said += f"and {total('n_new_tokens'):,} new ones"
    if total("usd"):
        said += f", and {number(total('usd'))} US dollars"
    if total("n_reused"):
        said += f"; {total('n_reused'):,} of {total('n_rows'):,} rows were taken over from earlier work"
    peak = max((row["peak_memory_bytes"] or 0 for row in rows), default=0)
    return said + (f". No step used more than {number(peak / 1e9, 1)} GB of memory." if peak else ".")


def _percent_interval(row: Row) -> str:
    if row["share"] is None:
        return "–"
    return f"{number(100 * row['share'], 0)}% [{number(100 * row['ci_low'], 0)}, {number(100 * row['ci_high'], 0)}]"


def _curve_key(row: Row) -> tuple[str, ...]:
    return (row["step_id"], row["method"], row["train_languages"], row["model"], row["name"])
