"""Ask a model that decides, loaded here or served: the way to it for judges that put typed questions."""

from collections.abc import Iterator, Sequence

from dsl.engines._served import ServedWeights
from dsl.engines.transformers import Weights
from dsl.judges._decision_model import DecisionModel, SystemOne
from runners.judges._model_judges.local import decide_locally
from runners.judges._model_judges.question import Decided, Question, both_orders
from runners.judges._model_judges.served_weights import decide_by_served_weights
from runners.judges._model_judges.systemone import decide_served
from runners.judges.contract import Tools

__all__ = ["Decided", "DecisionModel", "Question", "SystemOne", "both_orders", "decide"]


def decide(model: Weights | SystemOne, questions: Sequence[Question], tools: Tools) -> Iterator[Decided]:
    """Yield exactly one for each question, in any order, as they come.

    Raises:
        DataError: the weights are missing, or are of no model that can decide.
        ServerError: the server stays down after all tries, does not let us in, or refuses any question. What
            was decided before that has been yielded.
    """
    if isinstance(model, ServedWeights):
        return decide_by_served_weights(model, questions, tools)
    if isinstance(model, Weights):
        return decide_locally(model, questions, tools)
    return decide_served(model, questions, tools)
