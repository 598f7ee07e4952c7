"""Engines as a spec names them: the union of the `Settings` of the files here. `runners/engines/` has the
engine of each."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from dsl.engines.contract import EngineSettings
from dsl.plugins import union


def with_engine(value: Any) -> Any:
    """Weights need not say `engine: transformers`."""
    return {"engine": "transformers", **value} if isinstance(value, dict) and "engine" not in value else value  # pyright: ignore[reportUnknownVariableType]


if TYPE_CHECKING:
    AnyEngine = EngineSettings
    EngineOrWeights = EngineSettings
else:
    AnyEngine = union("engines", "engine")
    EngineOrWeights = Annotated[AnyEngine, BeforeValidator(with_engine)]
