"""Judges as a spec names them: the union of the `Settings` in `runners/judges/`."""

from typing import TYPE_CHECKING

from dsl.plugins import union
from dsl.settings import JudgeSettings

if TYPE_CHECKING:
    AnyJudge = JudgeSettings
else:
    AnyJudge = union("judges", "judge")
