"""The methods a study can compare. A new one is a file here and its name in the union."""

from typing import Annotated, get_args

from pydantic import Field

from dsl.methods.base import MethodBase
from dsl.methods.dpo import Dpo
from dsl.methods.icl import Icl
from dsl.methods.instruct import Instruct
from dsl.methods.kto import Kto
from dsl.methods.orpo import Orpo
from dsl.methods.recorded import Recorded
from dsl.methods.sft import Sft
from dsl.methods.simpo import Simpo

_Any = Icl | Sft | Dpo | Kto | Orpo | Simpo | Instruct | Recorded
Method = Annotated[_Any, Field(discriminator="method")]

METHODS: tuple[type[MethodBase], ...] = get_args(_Any)

__all__ = ["METHODS", "Dpo", "Icl", "Instruct", "Kto", "Method", "Orpo", "Recorded", "Sft", "Simpo"]
