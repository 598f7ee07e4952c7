"""Settings of the `language` judge."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from dsl.data.fingerprints import Fingerprints
from dsl.judges.contract import JudgeSettings, Role
from dsl.values import Language


class Settings(JudgeSettings):
    """1 where the completion is in the language it was asked in, 0 where it is in another. Short or doubtful
    text stays unscored."""

    ROLE: ClassVar[Role] = "critical_error"
    LABEL: ClassVar[str] = "in another language than asked"
    judge: Literal["language"] = "language"
    min_characters: int = Field(20, ge=1)
    """Letters below which the judge abstains, code, links and digits left out: identification fails on short
    text."""
    min_confidence: float = Field(0.55, ge=0, le=1)
    """Share of the likeliest language below which the judge abstains."""
    languages: tuple[Language, ...] = Field((), json_schema_extra={"readOnly": True})
    """Filled in by the plan: the study's languages."""

    def pinned(self, languages: tuple[Language, ...], fingerprints: Fingerprints, folder: Path) -> "Settings":
        return self.model_copy(update={"languages": tuple(sorted(set(languages)))})
