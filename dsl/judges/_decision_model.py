"""Models that decide between options: served System One models, or weights that are loaded here or served."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from dsl.engines import with_engine
from dsl.engines._auto import Auto
from dsl.engines.contract import ServerSettings
from dsl.engines.llama_cpp import Settings as ServedGguf
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as ServedWeights


class SystemOne(ServerSettings):
    """A served System One model: any server with `/v1/systemone`. The key is named by its environment
    variable and never held."""

    DEFAULT_URL: ClassVar[str] = "https://api.typesafe.ai"
    engine: Literal["systemone"] = "systemone"
    timeout: float = Field(30.0, gt=0)
    """Seconds one request may take. Not part of the identity."""

    @property
    def code(self) -> tuple[str, ...]:
        return ()  # the judge's own imports lead to it


DecisionModel = Annotated[
    Annotated[Weights | ServedWeights | ServedGguf | Auto | SystemOne, Field(discriminator="engine")],
    BeforeValidator(with_engine),
]
"""The model that decides, as a spec names it: a server (`engine: systemone`), weights loaded here, or weights
that vLLM or llama.cpp serves (`engine: vllm`, `engine: llama_cpp`)."""
