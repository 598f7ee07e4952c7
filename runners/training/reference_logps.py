"""Log-probabilities of preference pairs by a frozen model: written by reference_logps steps, read by dpo
steps.

A row is a value: it is known by the model, by how it is computed with and by the pair's tokens, so that steps
with other draws of the same pairs, or with more of them, reuse what is there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsl.data.records import RefLogps
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.steps.identity import digest
from dsl.steps.training_steps import ReferenceLogpsStep
from runners.models.weight_files import commit_of
from runners.store.step_io import read_rows, tuned_weights
from runners.training.rows import Row

FILE = "ref_logps.jsonl"


def model_key(weights: Weights, policy: Path | None, *, bf16: bool) -> str:
    """Return a hash of all that decides on a pair's log-probabilities but its tokens.

    That is the weights, those of `policy` (a training step's folder), and the precision.

    Args:
        bf16: computed in bfloat16, whatever was asked for.
    """
    return digest((ReferenceLogpsStep.VERSION, weights, commit_of(weights), tuned_weights(policy), bf16))


def row_key(model: str, row: Row) -> str:
    """Return a row's key, from its model's key and its tokens."""
    return hashlib.sha256(f"{model} {row.prompt_ids} {row.answers}".encode()).hexdigest()


def read_reference_logps(folder: Path) -> Mapping[str, RefLogps]:
    """Read a reference_logps step's rows by their keys."""
    return {row.row_key: row for row in read_rows(folder / FILE, RefLogps)}


def logps_of(row: Row, models: Sequence[str], computed: Mapping[str, RefLogps]) -> RefLogps:
    """Return one pair's row. Raises DataError where the step read other pairs, or another model."""
    key = next((key for model in models if (key := row_key(model, row)) in computed), None)
    if key is None:
        raise DataError(
            f"the reference has no log-probabilities of item {row.item} in `{row.language}`. Plan the study"
            " again"
        )
    return computed[key]
