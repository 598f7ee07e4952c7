"""Base of the settings of weights that a server of this machine loads, which a study starts and ends."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from dsl.data.fingerprints import Fingerprints
from dsl.engines.transformers import Weights
from dsl.messages import is_secret, listed, scrub
from dsl.values import Scalar


def program_hints(variable: str) -> dict[str, str]:
    """Return hints on keys that would name a server's program: an id must not depend on a machine."""
    told = f"The server's program is the machine's matter: the environment variable {variable} names it."
    return dict.fromkeys(("command", "python", "program", "executable"), told)


class ServedWeights(Weights):
    """Weights and the arguments of the server that loads them."""

    SERVER: ClassVar[str]
    """The server, for people."""
    GIVEN: ClassVar[frozenset[str]]
    """Arguments that xp gives by itself, or that its server does without: all it needs lies in files, and it
    is asked on this machine alone."""
    FASTER: ClassVar[frozenset[str]]
    """Arguments that change no token, and are no part of the identity."""
    ATTENTION: ClassVar[str]
    """The argument that is to the server what `attn_implementation` is to transformers."""
    LENGTH: ClassVar[str]
    """The argument that limits the tokens of prompt and answer together."""

    args: dict[str, Scalar] = {}
    """Arguments of the server."""
    counted_args: dict[str, Scalar] = Field(default={}, json_schema_extra={"readOnly": True})
    """Filled in by the plan: those of `args` that change results."""

    @model_validator(mode="after")
    def _args_are_of_the_server(self) -> Self:
        if self.attn_implementation is not None:
            raise ValueError(
                "`attn_implementation` is of `engine: transformers`;"
                f" {self.SERVER}'s is `args: {{{self.ATTENTION}: …}}`"
            )
        if given := sorted(self.args.keys() & self.GIVEN):
            raise ValueError(
                f"`args` names {listed(given)}: given to every server by xp, from the settings beside `args`,"
                " or not needed by one that only this machine asks"
            )
        if odd := sorted(name for name in self.args if not name.replace("_", "").isalnum()):
            raise ValueError(f"`args` names {listed(odd)}: write an argument as `{self.LENGTH}: 4096`")
        texts = [value for value in self.args.values() if isinstance(value, str)]
        if any(is_secret(text) or scrub(text) != text for text in texts):
            raise ValueError(
                "`args` holds a password or a key, which would stand in reports and in the store: leave it"
                " out"
            )
        return self

    @property
    def loaded_here(self) -> Weights:
        shared: Mapping[str, object] = {
            name: getattr(self, name) for name in Weights.model_fields if name not in ("engine", "batch_size")
        }
        return Weights.model_validate(shared)

    @property
    def is_started(self) -> bool:
        """Test whether the study starts the server, rather than finding it."""
        return True

    @property
    def n_gpus(self) -> int:
        """Number of GPUs that the arguments share the model out to."""
        return 1

    @property
    def most_positions(self) -> int | None:
        length = self.args.get(self.LENGTH)
        return length if isinstance(length, int) and length > 0 else None

    def pinned(self, fingerprints: Fingerprints, folder: Path) -> Weights:
        counted = {name: value for name, value in self.args.items() if name not in self.FASTER}
        return super().pinned(fingerprints, folder).model_copy(update={"counted_args": counted})

    def affinity(self) -> str:
        """Return a key of the server that is started."""
        return f"{super().affinity()}:{json.dumps(self.args, sort_keys=True)}"
