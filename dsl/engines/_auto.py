"""Settings of weights whose engine is left open: a plan resolves them, and no step holds them."""

from typing import Literal, Self

from pydantic import model_validator

from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as Served


class Auto(Served):
    """Weights that vLLM serves where there is a GPU and a vLLM that knows the model, and that are loaded by
    `transformers` elsewhere."""

    engine: Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if self.base_url is not None:
            raise ValueError("`base_url` is a vLLM server that runs already: write `engine: vllm`")
        return self

    def resolved(self, engine: Literal["transformers", "vllm"]) -> Weights:
        """Return the settings for an engine; `args` are those of vLLM alone."""
        if engine == "transformers":
            return self.loaded_here.model_copy(update={"batch_size": self.batch_size})
        shared = {name: getattr(self, name) for name in Served.model_fields if name != "engine"}
        return Served.model_validate({**shared, "engine": engine})
