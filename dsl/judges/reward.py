"""Settings of the `reward` judge."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from dsl.data.fingerprints import Fingerprints
from dsl.engines.transformers import Weights
from dsl.judges.contract import JudgeSettings
from dsl.values import Language, Name


class Settings(JudgeSettings):
    """The model's logit; higher is better. What is longer than the model can read stays unscored, and nothing
    is cut."""

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "reward model's score"
    ORDERS_ONLY: ClassVar[bool] = True
    judge: Literal["reward"] = "reward"
    model: Weights
    """A sequence-classification model with one label and a chat template."""

    def pinned(self, languages: tuple[Language, ...], fingerprints: Fingerprints, folder: Path) -> "Settings":
        return self.model_copy(update={"model": self.model.pinned(fingerprints, folder)})

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> None:
        return None
