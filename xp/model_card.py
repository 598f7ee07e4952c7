"""Model card: what a model was trained on and how, and what its studies found, from the report's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsl.steps.steps import DataStep, DpoStep, SftStep
from dsl.values import StepId
from runners.store.store import Store, read_step
from warehouse.connect import connect
from warehouse.query import fetch

Row = dict[str, Any]

_SCORES = """
select dataset, language, measure, mean_score, ci_low, ci_high, n, n_unscored
from score_by_cell
where list_contains($1, cell_id)
order by all
"""
_CONTRASTS = """
select distinct contrast, of, against, dataset, language, measure, estimate, ci_low, ci_high, p_corrected, n,
    n_seeds, family
from contrast_by_language_and_size as found
where exists (
    from cells
    where list_contains($1, cells.cell_id)
        and cells.experiment = found.experiment
        and cells.model = found.model
        and (
            (cells.method = found.of and cells.train_languages = coalesce(found.of_train_languages, ''))
            or (
                cells.method = found.against
                and cells.train_languages = coalesce(found.against_train_languages, '')
            )
        )
)
order by all
"""


@dataclass(frozen=True)
class Card:
    """Contents of a model card."""

    step_id: StepId
    trainings: Sequence[SftStep | DpoStep]
    """The first one first."""
    data: Sequence[Sequence[DataStep]]
    """The rows of each training."""
    is_adapter: bool
    questions: Sequence[str]
    """Questions of the studies that asked it."""
    scores: Sequence[Row]
    contrasts: Sequence[Row]

    @classmethod
    def read(
        cls, step_id: StepId, trainings: Sequence[SftStep | DpoStep], store: Store, *, is_adapter: bool
    ) -> "Card":
        """Read a step's rows in the warehouse. Raises WarehouseError."""
        data = [
            [
                found
                for one in (step.train if isinstance(step, SftStep) else step.pairs)
                if isinstance(found := read_step(store.step_folder(one)), DataStep)
            ]
            for step in trainings
        ]
        with connect(store.warehouse, read_only=True) as connection:
            asked = fetch(
                connection,
                "select cell_id, experiments.question from cells join experiments using (experiment)"
                " where not is_replicate and cell_id in (select cell_id from cell_training"
                " group by cell_id having arg_max(step_id, position) = ?) order by all",
                [step_id],
            )
            ids = [row["cell_id"] for row in asked]
            scores, contrasts = (fetch(connection, sql, [ids]) for sql in (_SCORES, _CONTRASTS))
        confirmatory = [row for row in contrasts if row["family"] == "confirmatory"]
        questions = tuple(dict.fromkeys(str(row["question"]) for row in asked))
        return cls(step_id, trainings, data, is_adapter, questions, scores, confirmatory or contrasts)
