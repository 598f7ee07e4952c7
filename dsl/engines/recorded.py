"""Settings of the `recorded` engine."""

from typing import Literal

from dsl.data.source import Columns, Source
from dsl.engines.contract import EngineSettings
from dsl.values import Language


class Settings(EngineSettings):
    """Filled in by the plan from `method: recorded`."""

    engine: Literal["recorded"] = "recorded"
    answers: Source
    columns: Columns
    """`response` is the answer; `item` or `instruction` says to which example it belongs."""
    language: Language | None = None
    """Language of the rows to use, where `columns` names a `language` column."""

    @property
    def counted_code(self) -> tuple[str, ...]:
        """Modules whose fingerprint is part of the identity: rows are cheap to read again, as a data
        step's."""
        return self.code

    def affinity(self) -> str:
        return ""
