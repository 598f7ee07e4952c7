"""Judges as a spec names them: the union of the `Settings` of the files here. `runners/judges/` has the judge
of each."""

from typing import TYPE_CHECKING

from dsl.judges.contract import JudgeSettings
from dsl.plugins import union

if TYPE_CHECKING:
    AnyJudge = JudgeSettings
else:
    AnyJudge = union("judges", "judge")
