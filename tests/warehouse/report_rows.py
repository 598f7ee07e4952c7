"""Rows of contrasts and means, as the report reads them."""

from typing import Any

from warehouse.charts.theme import Order
from warehouse.report.wording import Wording

ORDER = Order(
    methods=("zero_shot", "urial", "sft", "instruct"), models=("tiny",), languages=("en", "fr", "es")
)
JUDGES = {
    "contains": {"role": "quality", "label": "holds an accepted answer", "scales": {"contains": [0.0, 1.0]}},
    "language": {
        "role": "critical_error",
        "label": "in another language than asked",
        "scales": {"language": [0.0, 1.0]},
    },
    "truncated": {"role": "detector", "label": "cut before its end", "scales": {"truncated": [0.0, 1.0]}},
    "quality": {
        "role": "quality",
        "label": "quality",
        "scales": {"depth": [1.0, 5.0], "helpfulness": [1.0, 5.0]},
    },
}
WORDS = Wording(JUDGES)


def contrast(
    of: str, against: str, language: str, estimate: float | None, half: float | None, **more: Any
) -> dict[str, Any]:
    """A row of a contrast; its corrected interval is a hundredth wider than the other one."""
    interval = corrected = (None, None)
    if estimate is not None and half is not None:
        interval = (estimate - half, estimate + half)
        corrected = (estimate - half - 0.01, estimate + half + 0.01)
    return {
        "contrast": f"{of}_{against}",
        "method": None,
        "of": of,
        "against": against,
        "dataset": "facts",
        "language": language,
        "model": "tiny",
        "of_train_languages": "",
        "against_train_languages": "",
        "judge": more.get("measure", "contains"),
        "measure": "contains",
        "estimate": estimate,
        "ci_low": interval[0],
        "ci_high": interval[1],
        "ci_low_corrected": more.pop("low", corrected[0]),
        "ci_high_corrected": corrected[1],
        "mean_of": 0.5 + max(estimate or 0, 0),
        "mean_against": 0.5 - min(estimate or 0, 0),
        "is_significant_uncorrected": None if estimate is None or half is None else abs(estimate) > half,
        "is_significant": (
            None
            if estimate is None or half is None
            else abs(estimate) > half and (more.get("p_corrected", 0.004) or 1) < 0.05
        ),
        "could_be_significant": True,
        "p_corrected": 0.004,
        "family": "confirmatory",
        "correction": "holm",
        "n_tests": 3,
        "n": 12,
        **more,
    }


def score(method: str, language: str, mean: float | None, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "facts",
        "language": language,
        "model": "tiny",
        "method": method,
        "train_languages": "",
        "measure": "contains",
        "mean_score": mean,
        "ci_low": None if mean is None else mean - 0.1,
        "ci_high": None if mean is None else mean + 0.1,
        "n": 0 if mean is None else 12,
        "item_set_id": None if mean is None else more.get("n", 12),
        "n_unscored": 12 if mean is None else 0,
        **more,
    }
