"""Instructions on the language of the answer, identified by langdetect as in the published checkers.

On a few words, names or nonsense no two detectors agree, so only the same one gives the published verdicts.
`langdetect-rs` computes the same as `langdetect`, which is no longer kept up
(docs/decisions/2026-11-29-language-detection-for-ifeval.md). Its random walk gives now one language, now
another for such texts, and the published checkers set no seed: here the majority of several seeds decides,
and its share is in the verdict's reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from runners.judges._ifeval.arguments import Outcome

N_SEEDS = 11


def known(value: object) -> str:
    """Return the code of a language that langdetect knows, such as `fr` or `zh`."""
    languages = {_base(code) for code in _factory().get_lang_list()}
    if isinstance(value, str) and _base(value) in languages:
        return _base(value)
    raise ValueError(f"is none of the languages that can be identified, {', '.join(sorted(languages))}")


def response_language(text: str, kwargs: Mapping[str, Any], language: str) -> Outcome:
    """The answer as a whole is in the language asked for. Chinese is Chinese in either script."""
    return is_in(text, kwargs["language"])


def response_language_by_code(text: str, kwargs: Mapping[str, Any], language: str) -> Outcome:
    """`response_language` as IFEval and M-IFEval publish it: the detector's code is compared letter by
    letter, so that `zh` is never found where it says `zh-cn` or `zh-tw`.
    """
    return _compared(text, lambda code: code == kwargs["language"])


def is_in(text: str, language: str) -> Outcome:
    """Check if the text is in the language. As in the published checkers, a text that gives no hint is in
    any."""
    return _compared(text, lambda code: _base(code) == language)


def _compared(text: str, is_asked: Callable[[str], bool]) -> Outcome:
    found = _majority(text)
    if found is None:
        return Outcome(True, "no language found")
    code, share = found
    return Outcome(is_asked(code), f"{code} by {share} of {N_SEEDS} seeds")


@lru_cache(maxsize=64)  # the strict and the loose reading ask of the same text
def _majority(text: str) -> tuple[str, int] | None:
    """Return the code that most seeds give and how many, the earlier of two; None where there is no hint."""
    factory = _factory()
    votes: Counter[str] = Counter()
    for seed in range(N_SEEDS):
        factory.set_seed(seed)
        detector = factory.create()
        detector.append(text)
        try:
            votes[detector.detect()] += 1
        except _langdetect().LangDetectException:
            return None
    return votes.most_common(1)[0]


def _base(code: str) -> str:
    return code.split("-")[0].lower()


@cache
def _factory() -> Any:
    factory = _langdetect().DetectorFactory()
    factory.load_profile(_langdetect().PROFILES_DIRECTORY)
    return factory


def _langdetect() -> Any:
    import langdetect_rs  # pyright: ignore[reportMissingTypeStubs]  # it comes without types

    return langdetect_rs
