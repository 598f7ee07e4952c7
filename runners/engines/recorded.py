"""`recorded`: answers that someone else made, read from a file and matched by item or by instruction text."""

from typing import Literal

from dsl.settings import EngineSettings
from dsl.sources import Columns, Source


class Settings(EngineSettings):
    """Filled in by the plan from `method: recorded`."""

    engine: Literal["recorded"] = "recorded"
    answers: Source
    columns: Columns
    """`response` is the answer; `item` or `instruction` says to which example it belongs."""

    def affinity(self) -> str:
        return ""
