"""`xp show --tokens`: prompts and training rows as the model reads them, with what is learnt marked."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsl.errors import ArgumentError
from dsl.plan.study import Plan
from dsl.steps.steps import GenerateStep, SftStep
from runners.models.loading import Loaded, load_without_weights
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.store.step_io import StepContext, write_json
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY, WEIGHTS, rows
from tests.xp import small_study
from tests.xp.test_prompts import write_study
from xp.apply import apply
from xp.cli import app
from xp.studies import diff_for
from xp.tokens import LEGEND, _shown, tokens_of


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_without_weights(WEIGHTS, TINY)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A store whose prompts were asked, and in which the training step counts as done."""
    folder = tmp_path_factory.mktemp("tokens")
    spec, root = write_study(folder, n_long=0), folder / "store"
    plan = diff_for(spec, None, None, root).plan
    asked = next(cell for cell in plan.study.cells if cell.method == "zero_shot").generate
    apply(diff_for(spec, None, ["data", asked], root), root, in_process=True)
    for step_id, step in plan.steps.items():
        if isinstance(step, SftStep) or (isinstance(step, GenerateStep) and step.tuned):
            (finished := Store(root).step_folder(step_id)).mkdir()
            write_json(finished / "step.json", step)
            (finished / "outcome.json").touch()
    return root, plan


def ids_of(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"(?:^|  )\+?(\d+):['\"⟨]", text, re.MULTILINE)]


def test_a_prompt_is_shown_with_the_ids_that_the_model_was_handed(
    store: tuple[Path, Plan], loaded: Loaded
) -> None:
    root, plan = store
    shown = tokens_of(root, "zero_shot", None)
    question = rows("questions", "en")[0]
    (step,) = (one for one in plan.steps.values() if isinstance(one, GenerateStep) and not one.tuned)
    assert step.prompt is not None
    ids = token_ids(loaded.tokenizer, Prompter(step.prompt, StepContext({}, root)).prompt(question))
    assert shown.startswith(
        f"{LEGEND}\n\n━━ prompt of {question.item} · en · tiny · zero_shot · {len(ids)} tokens"
    )
    assert ids_of(shown) == ids
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_a_training_row_marks_the_answer_and_its_end_and_nothing_of_the_prompt(
    store: tuple[Path, Plan], loaded: Loaded
) -> None:
    trained = {row.item: row for row in rows("instructions", "en")}
    shown = tokens_of(store[0], "sft", None).partition("━━ sft row ")[2]
    learnt = re.findall(r"\+(\d+):", shown)
    item = shown.partition(" · ")[0]
    *answer, end = map(int, learnt)
    assert end in loaded.eos_ids
    assert f"+{end}:⟨</s>⟩" in shown
    assert loaded.tokenizer.decode(answer).strip() == trained[item].response
    assert f"{len(learnt)} in the loss" in shown
    assert 0 < len(learnt) < len(ids_of(shown))


def test_an_item_is_found_among_the_questions_or_the_training_rows(store: tuple[Path, Plan]) -> None:
    trained = rows("instructions", "en")[5].item
    shown = tokens_of(store[0], "sft", trained)
    assert "━━ prompt" not in shown
    assert f"━━ sft row {trained} · en" in shown
    with pytest.raises(ArgumentError, match="has no item `nothing`"):
        tokens_of(store[0], "sft", "nothing")


def test_parts_of_a_character_and_special_tokens_are_marked_among_words(loaded: Loaded) -> None:
    ids = loaded.tokenizer.encode("</s>\U0001f600 so", add_special_tokens=False)
    shown = _shown(ids, loaded)
    assert ids_of(shown) == ids
    assert "⟨</s>⟩" in shown
    assert "\ufffd" not in shown


def test_a_model_that_is_not_loaded_here_has_no_tokens_to_show(tmp_path: Path) -> None:
    spec = small_study.write_study(tmp_path / "study", languages=("en",), n_items=2)
    root = tmp_path / "store"
    apply(diff_for(spec, None, None, root), root, in_process=True)
    done = CliRunner().invoke(app, ["show", "zero_shot", "--tokens", "--store", str(root)])
    assert done.exit_code == 2
    assert "its model is not loaded here" in done.stderr
