"""Settings of the `pairwise` judge."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from dsl.data.fingerprints import Fingerprints, combined
from dsl.engines import with_engine
from dsl.engines._auto import Auto
from dsl.engines.contract import EngineSettings
from dsl.engines.llama_cpp import Settings as ServedGguf
from dsl.engines.openai import Settings as OpenAI
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as ServedWeights
from dsl.judges._comparison import comparison
from dsl.judges._decision_model import SystemOne
from dsl.judges._rubric import Aspect, OwnQuestion, RubricFile, RubricSettings
from dsl.judges.contract import JudgeSettings, Scale
from dsl.values import Language, Name, NameSet

if TYPE_CHECKING:
    Model = EngineSettings
else:
    Model = Annotated[
        Annotated[
            Weights | ServedWeights | ServedGguf | Auto | SystemOne | OpenAI, Field(discriminator="engine")
        ],
        BeforeValidator(with_engine),
    ]


class Settings(RubricSettings):
    """1 where the answer beats the opponent's, 0 where it loses, 0.5 for a tie. Both orders are asked; where
    they name different winners the verdict is a tie and says that it is inconsistent. Unreadable in either
    order, it is unscored. The same text twice is a tie unasked."""

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "better than another answer"
    judge: Literal["pairwise"] = "pairwise"
    against: Literal["all"] | Name | NameSet
    """The opponent: a method, a list of them, or `all`. Two methods that are both named are compared once:
    the one with more seeds is judged against the other, of equals the later by name. An opponent answers with
    the same seed where it has it, else with the lowest."""
    rubric: Name | RubricFile = "overall"
    """`overall` compares the answers as a whole; another rubric, aspect by aspect. Only its questions are
    read, not its levels."""
    model: Model
    """The model that judges: a server that writes (`engine: openai`), one that decides (`engine: systemone`),
    or weights, which decide: loaded here, or served (`engine: vllm`, `engine: llama_cpp`)."""
    ties: bool = True
    """The judge may find neither answer better."""
    max_new_tokens: int = Field(1024, ge=16)
    """Models that write: how long one reply may be."""

    @model_validator(mode="after")
    def _opponents_differ(self) -> Self:
        named = self.opponents()
        if named != "all" and len(set(named)) < len(named):
            raise ValueError("`against` names a method twice")
        return self

    def opponents(self) -> tuple[Name, ...] | Literal["all"]:
        if self.against == "all":
            return "all"
        return (self.against,) if isinstance(self.against, str) else self.against

    def asked(self) -> Mapping[str, Aspect | OwnQuestion]:
        """Return the aspects to compare on, by their names in verdicts; `overall` has the judge's own."""
        return {
            self.judge if self.rubric == "overall" else name: aspect for name, aspect in self.chosen().items()
        }

    def n_requests(self, aspects: Sequence[str]) -> int:
        return 2 * len(aspects)  # both orders

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale:
        return 0.0, 1.0

    def _in(self, language: Language, fingerprints: Fingerprints) -> Self:
        here = super()._in(language, fingerprints)
        comparison(language)
        return here.model_copy(
            update={"sha256": combined(here.sha256 or "", fingerprints.text("judges/comparisons", language))}
        )
