"""Settings of the engines: the union of the `Settings` of the files here, and in a spec `engine: auto`.
`runners/engines/` has each engine."""

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BeforeValidator, Field

from dsl.engines._auto import Auto
from dsl.engines.contract import EngineSettings
from dsl.plugins import union


def with_engine(value: Any) -> Any:
    """Add `engine: transformers`, the default, to settings that name no engine."""
    if isinstance(value, dict) and "engine" not in value:
        return {"engine": "transformers", **cast("dict[str, Any]", value)}
    return cast("Any", value)


if TYPE_CHECKING:
    AnyEngine = EngineSettings
    EngineOrWeights = EngineSettings
else:
    AnyEngine = union("engines", "engine")
    EngineOrWeights = Annotated[
        Annotated[AnyEngine | Auto, Field(discriminator="engine")], BeforeValidator(with_engine)
    ]
