"""The methods a study can compare. A new one is a file here and its name in the union."""

from typing import Annotated

from pydantic import Field

from dsl.methods.dpo import Dpo
from dsl.methods.icl import Icl
from dsl.methods.instruct import Instruct
from dsl.methods.recorded import Recorded
from dsl.methods.sft import Sft

Method = Annotated[Icl | Sft | Dpo | Instruct | Recorded, Field(discriminator="method")]

__all__ = ["Dpo", "Icl", "Instruct", "Method", "Recorded", "Sft"]
