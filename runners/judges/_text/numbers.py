"""Numbers in running text, as the languages of `FORMATS` write them.

    English   1,234.5     French   1 234,5  (1.234,5)     Spanish   1.234,5  or  1 234,5

What can only mean one thing means that in every language: `1,234.50` is 1234.5 in a French text too, and
`7.5` is seven and a half in a Spanish one. What could mean two things (`1.234`, `5,600`) means what the
language says. Signs, currencies and percent signs may stand around a number; `3/4`, `2 1/2` and `½` are read
as fractions. Numbers in words and digits inside a name (`CO2`) are not read.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext

from dsl.values import Language
from runners.prompting.word_breaks import ALPHABETIC, IDEOGRAPHIC


@dataclass(frozen=True)
class _Format:
    decimal: str
    groups: str
    """Separators between groups of three digits; a space stands for every kind of it."""


FORMATS: dict[Language, _Format] = {
    "en": _Format(".", ","),
    "fr": _Format(",", " ."),
    "es": _Format(",", ". "),
    "de": _Format(",", ". "),
    "pt": _Format(",", ". "),
    "it": _Format(",", ". "),
    "ca": _Format(",", ". "),
    "eu": _Format(",", ". "),
    "ja": _Format(".", ","),
}

_NO_BREAK = "\u00a0\u202f\u2009\u2007"
_VULGAR = frozenset("¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞")
_ONE_SIGN = str.maketrans({"\u2044": "/", "\u2212": "-", "\u2013": "-", "\uff0d": "-"})
_LONGEST = 24  # pieces between separators that are looked at; hostile text has more

_LETTER = rf"[^\W_{IDEOGRAPHIC}{ALPHABETIC}]"
"""A letter or digit behind which no number begins. Scripts without spaces set none before a number."""
_SIGN = rf"(?P<sign>(?<!{_LETTER})(?<![_)\]%.,$€£])-[$€£]?|(?<=[$€£])-)?"
_FRACTION = r"(?<!/)(?:(?P<whole>\d+) )?(?P<over>\d+)/(?P<under>\d+)(?![\d/])"
_ANY_DECIMAL = re.compile(
    r"""
      [1-9]\d{0,2}(?:,\d{3})+\.\d+ | [1-9]\d{0,2}(?:\.\d{3})+,\d+ | [1-9]\d{0,2}(?:[ ]\d{3})+[.,]\d+
    | \d*[.,]\d+
    """,
    re.VERBOSE,
)
_ANY_GROUPS = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3}){2,}|(?:\.\d{3}){2,}|(?: \d{3})+)")


def last_number(text: str, language: Language) -> Decimal | None:
    """Return the last number of a text, or None where it has none.

    `language` is one of `FORMATS`; fractions are rounded to 50 digits.
    """
    style = FORMATS[language]
    last = None
    for found in _runs(style).finditer(_plain(text)):
        last = found
    return None if last is None else _value(last, style)


def _plain(text: str) -> str:
    """Normalise a text: one kind of minus, and vulgar fractions spelt out (`8½` is `8 1/2`)."""
    spelt = "".join(f" {unicodedata.normalize('NFKC', c)}" if c in _VULGAR else c for c in text)
    return spelt.translate(_ONE_SIGN)


def _runs(style: _Format) -> re.Pattern[str]:
    """Digits and what may belong to the same number. A space belongs to it only before three digits."""
    spaces = _NO_BREAK + (" " if " " in style.groups else "")
    return re.compile(
        rf"{_SIGN}(?<!{_LETTER})(?:{_FRACTION}|(?P<run>(?:(?<!{_LETTER})(?<![_.,)\]])\.)?\d+(?:[.,]\d+"
        rf"|[{spaces}]\d{{3}}(?!\d))*))"
    )


def _value(found: re.Match[str], style: _Format) -> Decimal:
    if found["run"] is not None:
        run = re.sub(f"[{_NO_BREAK}]", " ", found["run"])
        value = next(value for value in (_read(part, style) for part in _endings(run)) if value is not None)
    else:
        with localcontext(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN):
            under = Decimal(found["under"])
            value = (
                Decimal(found["whole"] or 0) + Decimal(found["over"]) / under
                if under
                else Decimal(found["over"])
            )
    return value.copy_negate() if found["sign"] else value


def _endings(run: str) -> Iterator[str]:
    """The run, then what is left where the digits before a space are another number (`en 2020 150 000
    euros`), then its last digits."""
    pieces = re.split(r"([., ])", run)
    if len(pieces) <= 2 * _LONGEST:
        yield run
        for place, piece in enumerate(pieces):
            if piece == " ":
                yield "".join(pieces[place + 1 :])
    yield pieces[-1]


def _read(text: str, style: _Format) -> Decimal | None:
    """Return the number that a text is, or None where it is several."""
    for group in style.groups:
        if re.fullmatch(
            rf"[1-9]\d{{0,2}}(?:{re.escape(group)}\d{{3}})+(?:{re.escape(style.decimal)}\d+)?", text
        ):
            return Decimal(text.replace(group, "").replace(style.decimal, "."))
    if _ANY_GROUPS.fullmatch(text):
        return Decimal(re.sub("[., ]", "", text))
    if _ANY_DECIMAL.fullmatch(text):
        whole, _, part = text.replace(",", ".").rpartition(".")
        return Decimal(f"{re.sub('[. ]', '', whole)}.{part}")
    return Decimal(text) if text.isdigit() else None
