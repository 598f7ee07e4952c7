"""Plain words for what a study varies and measures: its languages, methods and measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsl.messages import one_line
from warehouse.charts.theme import Row, Rows, decimals_for, number, with_interval

SHARE = (0.0, 1.0)

_NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "ko": "Korean",
    "lt": "Lithuanian", "lv": "Latvian", "mr": "Marathi", "ms": "Malay", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu",
    "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "yo": "Yoruba",
    "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip
"""English names of ISO 639-1 codes; a study may have others, which are shown as they are."""


def language_name(code: str) -> str:
    return _NAMES.get(code, code)


@dataclass(frozen=True)
class Wording:
    """Names and scales by which a study's rows are put into words."""

    judges: Mapping[str, Row] = field(default_factory=dict[str, Row])
    """Rows of `judges` by name."""
    glosses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Method -> what its name may not tell, such as the language of its examples."""

    def method(self, name: str) -> str:
        gloss = self.glosses.get(name)
        return f"{name} ({gloss})" if gloss else name

    def label(self, row: Row) -> str:
        """Return the judge's own words for what it looks for."""
        judge = self.judges.get(row["judge"])
        return one_line(str(judge["label"])) if judge and judge["label"] else ""

    def is_error(self, row: Row) -> bool:
        """Return whether a measure is freedom from an error, which is told by the share that has it."""
        judge = self.judges.get(row["judge"])
        return judge is not None and judge["role"] in ("critical_error", "detector")

    def is_critical(self, row: Row) -> bool:
        """Return whether a measure is freedom from an error that leaves nothing worth scoring."""
        judge = self.judges.get(row["judge"])
        return judge is not None and judge["role"] == "critical_error"

    def is_share(self, row: Row) -> bool:
        return self.scale(row) == SHARE

    def scale(self, row: Row) -> tuple[float, float] | None:
        """Return the least and the highest score of a measure; None where it is open or unknown."""
        judge = self.judges.get(row["judge"])
        scales: Mapping[str, list[float] | None] = (judge["scales"] or {}) if judge else {}
        aspect = str(row["measure"]).removeprefix(f"{row['judge']}.")
        found = scales.get(aspect) if len(scales) != 1 else next(iter(scales.values()))
        return (float(found[0]), float(found[1])) if found else None

    def direction(self, row: Row) -> str:
        """Say which end of a measure's scale is the good one."""
        judge = self.judges.get(row["judge"])
        if judge is not None and judge["role"] == "measure":
            return "Neither more nor less is better."
        if self.is_error(row):
            return "Share of answers without the error: higher is better."
        scale = self.scale(row)
        unit = "" if scale in (None, SHARE) else f" on a scale of {scale[0]:g} to {scale[1]:g}"
        return f"Higher is better{unit}."

    def mean(self, row: Row, value: float) -> str:
        """A mean on its measure's scale; of an error, the share of answers that have it."""
        if not self.is_share(row):
            return number(value, decimals_for([value]))
        return f"{number(100 * (1 - value if self.is_error(row) else value), 0)}%"

    def difference(self, row: Row, value: float, low: float | None, high: float | None) -> str:
        """A difference and its interval, of shares in points of a hundred."""
        if not self.is_share(row):
            return with_interval(value, low, high)
        points = [None if end is None else 100 * end for end in (low, high)]
        return f"{with_interval(100 * value, *points, decimals=0)} points"


def glosses(cells: Rows, steps: Rows) -> dict[str, str]:
    """Return, for a method whose examples are not in the language it is asked in, their language."""
    prompts: dict[str, dict[str, Any]] = {
        step["step_id"]: step["settings"].get("prompt") or {} for step in steps
    }
    found: dict[str, set[str]] = {}
    for cell in cells:
        prompt = prompts.get(cell["generate_step_id"], {})
        shown: dict[str, str] = prompt.get("demonstrations_text") or {}
        if shown.get("language") not in (None, cell["language"]):
            found.setdefault(cell["method"], set()).add(shown["language"])
    return {
        method: f"examples in {language_name(next(iter(languages)))}"
        for method, languages in found.items()
        if len(languages) == 1
    }
