"""`plans_by_judge`: all that was ever applied on a data set and judged by a judge, and what came late."""

from pathlib import Path

from dsl.data.records import Example
from dsl.plan.ledger import ledger_entry
from dsl.plan.study import ContrastPlan, Study
from dsl.values import StepId
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.report.caveats import caveats
from warehouse.report.reading import read_study
from warehouse.report.summary import summary

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted")
LATE = ContrastPlan(name="late", of="prompted", against="tuned")


def entered(store: Path, study: Study, n: int, *, had_results: bool = False) -> None:
    folder = store / "experiments" / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    entry = ledger_entry(study, n, f"2026-01-0{n}T03:04:05+00:00", had_results=had_results)
    (folder / f"{study.experiment}~{n}.json").write_text(entry.model_dump_json(), "utf-8")


def quiz(maker: StoreMaker, *items: str, read_from: str) -> StepId:
    """A data step of its own, with a question to each item."""
    rows = [Example(item=item, language="en", instruction=f"How many are {item}?") for item in items]
    return maker.data(rows, dataset=read_from)


def test_plans_cells_and_late_contrasts_are_counted_over_studies_that_share_items(
    maker: StoreMaker, ask: Ask
) -> None:
    scores = {"contains": {"1": 1.0, "2": 0.0}}
    asked = quiz(maker, "1", "2", read_from="quiz")
    cells = [maker.cell(method, scores=scores, examples=asked) for method in ("tuned", "prompted")]
    entered(maker.folder, maker.study("other"), 1)
    maker.cells = []
    elsewhere = maker.cell("tuned", scores=scores, examples=quiz(maker, "8", "9", read_from="elsewhere"))
    entered(maker.folder, maker.study("elsewhere", (GAIN,)), 1)
    maker.cells = [
        *(cell.model_copy(update={"cell_id": f"cell-00000000000000f{n}"}) for n, cell in enumerate(cells))
    ]
    study = maker.study("trial", (GAIN, LATE))
    entered(maker.folder, study.model_copy(update={"contrasts": (GAIN,)}), 1)
    entered(maker.folder, study, 2, had_results=True)
    rows = {row["experiment"]: row for row in ask("from plans_by_judge")}
    names = ("dataset", "judge", "n_plans", "n_studies", "n_cells", "n_contrasts", "n_added")
    assert tuple(rows["trial"][name] for name in names) == ("quiz", "contains", 3, 2, 4, 2, 1)
    assert rows["other"]["n_plans"] == 3
    assert rows["elsewhere"]["n_plans"] == 1
    assert elsewhere.dataset == "quiz", "of one name, and other items"
    assert str(rows["trial"]["fixed_at"]) == "2026-01-02 03:04:05"
    whole = _said(maker, "trial")
    assert len(whole) == 1
    assert whole[0].startswith(
        "3 plans of 2 studies with 4 cells were applied on quiz and `contains`; 1 contrast of 2 was added"
        " after the first result. Today's contrasts were fixed on 2026-01-02 03:04 UTC (SHA-256 "
    )


def test_a_plan_on_some_of_the_items_counts_and_the_least_that_one_shares_is_said(
    maker: StoreMaker, ask: Ask
) -> None:
    study = maker.study("trial", (GAIN, LATE))
    for n, items in enumerate(("123", "1234", "3456", "1234"), 1):
        maker.cells = []
        examples = quiz(maker, *items, read_from=f"quiz_{n}")
        maker.cell("tuned", scores={"contains": dict.fromkeys(items, 1.0)}, examples=examples)
        study = maker.study("trial", (GAIN, LATE)[: n // 2])
        entered(maker.folder, study, n, had_results=n > 1)
    (row,) = ask("from plans_by_judge")
    names = ("n_plans", "n_studies", "n_cells", "n_items", "n_shared_items", "n_added")
    assert tuple(row[name] for name in names) == (4, 1, 4, 4, 2, 2)
    (whole,) = _said(maker, "trial")
    assert whole.startswith(
        "4 plans with 4 cells were applied on quiz and `contains`, each on at least 2 of its 4 items; 2"
        " contrasts of 2 were added after the first result."
    )


def _said(maker: StoreMaker, experiment: str) -> list[str]:
    return [
        caveat.whole
        for caveat in summary(read_study(maker.folder / WAREHOUSE, experiment)).caveats
        if "plans" in caveat.headline
    ]


def test_one_plan_is_no_caveat() -> None:
    assert caveats([], [], [], plans=[{"n_plans": 1, "n_added": 0}]) == []
    assert caveats([], [], []) == []
