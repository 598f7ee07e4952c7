"""Plain words for what a study varies and measures: its languages, methods and measures."""

from collections.abc import Iterable, Mapping
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


FAULTS = {
    "in another language than asked": "are in another language than asked",
    "repeats itself without end": "repeat themselves without end",
    "no answer": "are empty",
    "cut before its end": "are cut before their end",
    "code where none was asked": "hold code where none was asked",
    "the question again, or an invented one": "repeat the question, or invent one",
    "declines to answer": "decline to answer",
}
"""Label of a judge that looks for an error -> what is said of answers that have it."""


def language_name(code: str) -> str:
    return _NAMES.get(code, code)


@dataclass(frozen=True)
class Wording:
    """Names and scales by which a study's rows are put into words."""

    judges: Mapping[str, Row] = field(default_factory=dict[str, Row])
    """Rows of `judges` by name."""
    glosses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Method -> what its name may not tell, such as the language of its examples."""
    datasets: tuple[str, ...] = ()
    """In the order of the study."""

    def on(self, row: Row) -> str:
        """Return the end of a phrase that names a row's data set, where there are several."""
        return f" on {one_line(row['dataset'])}" if len(self.datasets) > 1 else ""

    def method(self, name: str) -> str:
        gloss = self.glosses.get(name)
        return f"{name} ({gloss})" if gloss else name

    def label(self, row: Row) -> str:
        """Return the judge's own words for what it looks for."""
        judge = self.judges.get(row["judge"])
        return one_line(str(judge["label"])) if judge and judge["label"] else ""

    def fault(self, row: Row) -> str:
        """Return what is said of answers that have the error a judge looks for."""
        label = self.label(row)
        verb = "fail" if self.is_critical(row) else "are flagged"
        what = label or f"`{row['measure']}`"
        return FAULTS.get(label, f"{verb} ({what})")

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
        return percent(1 - value if self.is_error(row) else value)

    def difference(self, row: Row, value: float, low: float | None, high: float | None) -> str:
        """A difference and its interval, of shares in points of a hundred."""
        if not self.is_share(row):
            return with_interval(value, low, high)
        points = [None if end is None else 100 * end for end in (low, high)]
        decimals = point_decimals((100 * value, *points))
        return f"{with_interval(100 * value, *points, decimals=decimals)} points"


def percent(share: float) -> str:
    """A share in whole per cent that shows neither 0% nor 100% where it is not."""
    share = round(share, 9)
    whole = number(100 * share, 0)
    if share > 0 and whole == "0":
        return "<1%"
    return ">99%" if share < 1 and whole == "100" else f"{whole}%"


def point_decimals(points: Iterable[float | None]) -> int:
    """Return the digits after the point, none to three: enough that no number but zero shows as zero."""
    sizes = [abs(value) for value in points if value is not None and abs(value) > 1e-7]
    return next((places for places in range(3) if all(round(size, places) for size in sizes)), 3)


def glosses(cells: Rows, steps: Rows) -> dict[str, str]:
    """Return, for methods that show worked examples, their language.

    It is the one that is asked, which a study of one language need not say, or another one.
    """
    prompts: dict[str, dict[str, Any]] = {
        step["step_id"]: step["settings"].get("prompt") or {} for step in steps
    }
    found: dict[str, set[str]] = {}
    for cell in cells:
        shown = _language_of_examples(prompts.get(cell["generate_step_id"], {}))
        if shown is not None:
            others = found.setdefault(cell["method"], set())
            others |= {shown} - {cell["language"]}
    asked = {cell["language"] for cell in cells}
    return {
        method: f"examples in {language_name(next(iter(others))) if others else 'the language asked'}"
        for method, others in found.items()
        if len(others) == 1 or (not others and len(asked) > 1)
    }


def _language_of_examples(prompt: Mapping[str, Any]) -> str | None:
    """The language of the worked examples in a prompt; None where it shows none."""
    text: Mapping[str, str] = prompt.get("demonstrations_text") or prompt.get("text") or {}
    return text.get("language") if prompt.get("num_fewshot", 3) else None
