"""Model card: what a model was trained on and how, and what its studies found, from the report's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsl.errors import DataError
from dsl.steps.steps import DataStep, PairsStep
from dsl.steps.training_steps import TuningStep
from dsl.values import StepId
from runners.store.store import Store, read_step
from warehouse.connect import connect
from warehouse.statements import fetch

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
class Rows:
    """Rows of one language that a model was trained on."""

    step: DataStep
    are_questions: bool
    """Their answers were sampled and ranked in the study."""


@dataclass(frozen=True)
class Card:
    """Contents of a model card."""

    step_id: StepId
    trainings: Sequence[TuningStep]
    """The first one first."""
    data: Sequence[Sequence[Rows]]
    """The rows of each training."""
    is_adapter: bool
    questions: Sequence[str]
    """Questions of the studies that asked it."""
    scores: Sequence[Row]
    contrasts: Sequence[Row]

    @classmethod
    def read(
        cls, step_id: StepId, trainings: Sequence[TuningStep], store: Store, *, is_adapter: bool
    ) -> "Card":
        """Read a step's rows in the warehouse. Raises WarehouseError and DataError."""
        data = [[_rows_of(one, store) for one in step.data] for step in trainings]
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
        questions = tuple(dict.fromkeys(str(row["question"]) for row in asked if row["question"]))
        return cls(step_id, trainings, data, is_adapter, questions, scores, confirmatory or contrasts)


def _rows_of(step_id: StepId, store: Store) -> Rows:
    step = read_step(store.step_folder(step_id))
    if isinstance(step, PairsStep):
        return Rows(_rows_of(step.examples, store).step, are_questions=True)
    if not isinstance(step, DataStep):
        raise DataError(f"{store.step_folder(step_id)}: its settings cannot be read. Apply the study again")
    return Rows(step, are_questions=False)
