"""The same asked and judged again (A/A): no row is reused, and greedy answers in float32 are the same."""

from pathlib import Path

import pytest

from dsl.data.records import Completion
from dsl.engines.contract import Decoding
from dsl.engines.echo import Settings as Echo
from dsl.engines.transformers import Weights
from dsl.steps.steps import GenerateStep
from runners.steps import generate
from runners.store.step_io import read_rows
from tests.fixtures.tiny_study import WEIGHTS, inputs, rows, text_form
from tests.runners.steps.test_judge import Work, marks, serving


def answered(folder: Path, model: Weights | Echo, replicate: int, *reuse_from: str) -> list[Completion]:
    context, (examples,) = inputs(folder, questions=rows("questions", "en")[:5])
    step = GenerateStep(
        model=model,
        examples=examples,
        prompt=text_form("en", num_fewshot=1),
        decoding=Decoding(max_new_tokens=12),
        replicate=replicate,
    )
    out = folder / f"out-{replicate}"
    out.mkdir()
    context = type(context)(
        context.folders, context.cache, reuse_from=tuple(folder / other for other in reuse_from)
    )
    made = generate.run(step, context, out)
    assert made.n_reused == 0
    return list(read_rows(out / "completions.jsonl", Completion))


def test_a_replicate_is_answered_in_another_order_and_batch_with_the_same_greedy_texts(
    tmp_path: Path,
) -> None:
    model = WEIGHTS.model_copy(update={"batch_size": 5})
    first = answered(tmp_path, model, 0)
    again = answered(tmp_path, model, 1, "out-0")
    assert {row.item: row.text for row in again} == {row.item: row.text for row in first}
    assert not {row.row_key for row in again} & {row.row_key for row in first}
    assert max(row.batch_size or 0 for row in first) == 5
    assert max(row.batch_size or 0 for row in again) == 2


def test_a_replicate_is_asked_from_the_last_question_to_the_first(tmp_path: Path) -> None:
    first, again = answered(tmp_path, Echo(), 0), answered(tmp_path, Echo(), 1, "out-0")
    assert [row.item for row in again] == [row.item for row in reversed(first)]


@pytest.mark.parametrize(("replicate", "n_calls", "n_reused"), [(0, 3, 4), (1, 6, 0)])
def test_a_judge_is_called_again_on_a_replicate_of_the_same_answers(
    replicate: int, n_calls: int, n_reused: int, tmp_path: Path
) -> None:
    work = Work(tmp_path)
    with serving(marks) as server:
        work.run(server.settings(aspects=["clarity"]), "first")
        made = work.run(server.settings(aspects=["clarity"]), "second", "first", replicate=replicate)
        assert len(server.requests) == n_calls
    assert made.n_reused == n_reused
    assert {v.item: v.score for v in work.rows("second")} == {v.item: v.score for v in work.rows("first")}
