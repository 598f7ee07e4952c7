"""The ledger: when a plan was applied, which contrasts it fixed, and whether a result was there by then."""

import datetime
from pathlib import Path

from dsl.data.records import read_record
from dsl.plan.ledger import LedgerEntry
from dsl.plan.study import Cell, ContrastPlan, JudgePlan, Study
from dsl.plugins import settings_of
from dsl.steps.steps import Judged
from runners.store.store import Store

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted", on=("contains",))
LATER = ContrastPlan(name="later", of="tuned", against="other", on=("contains",))
JUDGED = "judge-0000000000000001"


def study(*contrasts: ContrastPlan, notes: tuple[str, ...] = ()) -> Study:
    cell = Cell(
        cell_id="cell-0000000000000001",
        dataset="quiz",
        language="en",
        model="tiny",
        num_parameters=None,
        method="tuned",
        method_kind="icl",
        seed=None,
        generate="generate-0000000000000001",
        judges={"contains": Judged(step=JUDGED, judge="contains-0000000000000001")},
    )
    settings = settings_of("judges", "contains").model_validate({"judge": "contains"})
    return Study(
        experiment="trial",
        question="",
        languages=("en",),
        spec_file="trial.yaml",
        spec_text="",
        parallel={"quiz": True},
        cells=(cell,),
        step_ids=(cell.generate, JUDGED),
        contrasts=contrasts,
        judges=(JudgePlan.of("contains", settings, {}),),
        notes=notes,
    )


def entries(store: Store) -> list[LedgerEntry]:
    files = sorted((store.experiments / "ledger").glob("*.json"))
    return [read_record(file, LedgerEntry) for file in files]


def test_each_plan_is_entered_with_its_contrasts_and_whether_a_verdict_was_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record_study(study(GAIN))
    store.record_study(study(GAIN, notes=("known only once it runs",)))
    (first,) = entries(store)
    assert (first.n, first.had_results, [one.name for one in first.contrasts]) == (1, False, ["gain"])
    assert datetime.datetime.fromisoformat(first.applied_at).utcoffset() == datetime.timedelta(0)
    assert [(cell.dataset, cell.judges) for cell in first.cells] == [("quiz", ("contains",))]
    store.record_study(study())
    (tmp_path / "steps" / JUDGED).mkdir(parents=True)
    (tmp_path / "steps" / JUDGED / "outcome.json").write_text("{}", "utf-8")
    store.record_study(study(GAIN, LATER))
    assert [(one.n, one.had_results) for one in entries(store)] == [(1, False), (2, False), (3, True)]
    assert len({one.contrasts_sha256 for one in entries(store)}) == 3


def test_a_contrast_is_fixed_by_what_it_compares_and_not_by_its_name(tmp_path: Path) -> None:
    hashes: list[str] = []
    for number, one in enumerate(
        (GAIN, GAIN.model_copy(update={"name": "other"}), GAIN.model_copy(update={"on": ("exact",)}))
    ):
        store = Store(tmp_path / str(number))
        store.record_study(study(one))
        hashes.append(entries(store)[0].contrasts_sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_plan_of_a_version_without_a_ledger_is_entered_when_the_next_one_comes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record_study(study(GAIN))
    (store.experiments / "ledger" / "trial~1.json").unlink()
    (tmp_path / "steps" / JUDGED).mkdir(parents=True)
    (tmp_path / "steps" / JUDGED / "outcome.json").write_text("{}", "utf-8")
    store.record_study(study(GAIN, LATER))
    before, now = entries(store)
    assert ([one.name for one in before.contrasts], before.had_results) == (["gain"], False)
    assert ([one.name for one in now.contrasts], now.had_results) == (["gain", "later"], True)
