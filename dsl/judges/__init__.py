"""Judges as a spec names them: the union of the `Settings` of the files here. `runners/judges/` has the judge
of each."""

from typing import TYPE_CHECKING

from dsl.judges._rubric import RubricSettings
from dsl.judges.contract import JudgeSettings
from dsl.plugins import names, settings_of, union


def may_be_served(judge: object) -> bool:
    """Test whether the weights of a judge of this name may be served, as those that go by a rubric may."""
    return judge in names("dsl.judges") and issubclass(settings_of("judges", str(judge)), RubricSettings)


if TYPE_CHECKING:
    AnyJudge = JudgeSettings
else:
    AnyJudge = union("judges", "judge")
