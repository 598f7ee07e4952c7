"""Language codes as BCP 47 has them: one language, one code."""

import re

_BIBLIOGRAPHIC = {
    "alb": "sq",
    "arm": "hy",
    "baq": "eu",
    "bur": "my",
    "chi": "zh",
    "cze": "cs",
    "dut": "nl",
    "fre": "fr",
    "geo": "ka",
    "ger": "de",
    "gre": "el",
    "ice": "is",
    "mac": "mk",
    "mao": "mi",
    "may": "ms",
    "per": "fa",
    "rum": "ro",
    "slo": "sk",
    "tib": "bo",
    "wel": "cy",
}
"""Codes of ISO 639-2 that libraries use, which ICU does not know."""


def bcp_47(code: str) -> str:
    """Return a code with the shortest one of its language: `en` for `eng` and `EN`, `en-Latn` for `eng_Latn`.

    What is no code stays as it is.
    """
    primary, *rest = re.split("[-_]", code.strip())
    if re.fullmatch("[A-Za-z]{2,3}", primary) is None:
        return code
    from icu4py.locale import Locale

    found = _BIBLIOGRAPHIC.get(primary.lower()) or Locale(primary).language or primary.lower()
    return "-".join([found, *rest])
