"""LLMBar's natural pairs as a gold set for judges that compare, where its data is."""

from pathlib import Path

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.steps.steps import JudgeStep
from tests.specs.public_data import needed

SPECS = Path(__file__).resolve().parents[2] / "specs"


@needed
def test_people_and_the_judge_compare_the_second_answer_with_the_first_and_no_answer_with_itself() -> None:
    loaded = load(SPECS / "llmbar.yaml", ("judges.duel.model.version=0.1.2",))
    assert not loaded.warnings
    plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
    cells = {cell.method: cell for cell in plan.study.cells}
    assert (set(cells["output_1"].judges), set(cells["output_2"].judges)) == (set(), {"gold", "duel"})
    duel = plan.steps[cells["output_2"].judges["duel"].step]
    assert isinstance(duel, JudgeStep)
    assert duel.against == {"output_1": cells["output_1"].generate}
