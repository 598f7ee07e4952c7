"""Verdicts for small stores beyond scores alone: on comparisons, with their parts, and on answers with a
planted text."""

from collections.abc import Sequence

from dsl.data.records import Verdict
from dsl.plan.study import Cell
from dsl.steps.steps import Judged, JudgeStep
from dsl.values import StepId
from tests.warehouse.stores import KEY, NEEDED, StoreMaker, verdict


def row(item: str, score: float | str | None, aspect: str, language: str = "en", **more: object) -> Verdict:
    """A verdict; `more` are further fields of it, such as `against`, `parts` or `distribution`."""
    return verdict(item, score, aspect, language).model_copy(update=more)


def judged(
    maker: StoreMaker, cell: Cell, judge: str, kind: str, rows: Sequence[Verdict], probe: str = ""
) -> StepId:
    """Give a cell that was just made another judge's verdicts, on its answers as they are or with a probe's
    text planted."""
    settings = {"judge": kind, **NEEDED.get(kind, {})}
    maker.described(judge, kind, dict.fromkeys(row.aspect for row in rows if row.aspect != kind))
    step = JudgeStep.model_validate(
        {"judges": {KEY: settings}, "answers": cell.generate, "examples": "data-0000000000000000"}
    )
    place = next(i for i, made in enumerate(maker.cells) if made.cell_id == cell.cell_id)
    here = maker.cells[place]
    n = len(here.judges) + sum(len(judges) for judges in here.probes.values())
    step_id = maker.step(step, "verdicts.jsonl", list(rows), step_id_=f"judge-{cell.cell_id[-13:]}{n:03x}")
    made = Judged(step=step_id, judge=KEY)
    if probe:
        changed: dict[str, object] = {
            "probes": {**here.probes, probe: {**here.probes.get(probe, {}), judge: made}}
        }
    else:
        changed = {"judges": {**here.judges, judge: made}}
    maker.cells[place] = here.model_copy(update=changed)
    return step_id
