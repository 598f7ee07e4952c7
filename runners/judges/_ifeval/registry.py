"""Every instruction by its id: who checks it, in which languages it is defined, which arguments it needs."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runners.judges._ifeval import arguments, ends, form, japanese, keywords, languages, length, letters
from runners.judges._ifeval.arguments import Checker, Outcome

_ALL = ("en", "fr", "es")
_FR = ("fr",)
_ES = ("es",)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One kind of instruction."""

    check: Checker
    needs: Mapping[str, Callable[[object], Any]] = field(default_factory=dict[str, Callable[[object], Any]])
    """Its arguments, under the names the published data has, and how each is read."""
    languages: tuple[str, ...] = _ALL


_RELATION, _WHOLE, _TEXT, _TEXTS = arguments.relation, arguments.whole, arguments.text, arguments.texts

INSTRUCTIONS = {
    "change_case:capital_word_frequency": Instruction(
        letters.capital_word_frequency, {"capital_relation": _RELATION, "capital_frequency": _WHOLE}
    ),
    "change_case:english_capital": Instruction(letters.all_capitals, languages=("en",)),
    "change_case:english_lowercase": Instruction(letters.all_lowercase, languages=("en",)),
    "change_case:french_capital": Instruction(letters.all_capitals, languages=_FR),
    "change_case:french_lowercase": Instruction(letters.all_lowercase, languages=_FR),
    "change_case:spanish_capital": Instruction(letters.all_capitals, languages=_ES),
    "change_case:spanish_lowercase": Instruction(letters.all_lowercase, languages=_ES),
    "combination:repeat_prompt": Instruction(ends.repeat_prompt, {"prompt_to_repeat": _TEXT}),
    "combination:two_responses": Instruction(ends.two_responses),
    "detectable_content:informal_address": Instruction(keywords.informal_address, languages=_FR),
    "detectable_content:no_digits": Instruction(letters.no_digits, languages=_FR),
    "detectable_content:number_placeholders": Instruction(
        keywords.number_placeholders, {"num_placeholders": _WHOLE}
    ),
    "detectable_content:postscript": Instruction(keywords.postscript, {"postscript_marker": _TEXT}),
    "detectable_format:constrained_response": Instruction(form.constrained_response),
    "detectable_format:json_format": Instruction(form.json_format),
    "detectable_format:multiple_sections": Instruction(
        form.multiple_sections, {"section_spliter": _TEXT, "num_sections": _WHOLE}
    ),
    "detectable_format:number_bullet_lists": Instruction(form.number_bullet_lists, {"num_bullets": _WHOLE}),
    "detectable_format:number_highlighted_sections": Instruction(
        form.number_highlighted_sections, {"num_highlights": _WHOLE}
    ),
    "detectable_format:title": Instruction(form.title),
    "keywords:existence": Instruction(keywords.existence, {"keywords": _TEXTS}),
    "keywords:forbidden_words": Instruction(keywords.forbidden_words, {"forbidden_words": _TEXTS}),
    "keywords:frequency": Instruction(
        keywords.frequency, {"keyword": _TEXT, "frequency": _WHOLE, "relation": _RELATION}
    ),
    "keywords:letter_frequency": Instruction(
        keywords.letter_frequency, {"letter": _TEXT, "let_frequency": _WHOLE, "let_relation": _RELATION}
    ),
    "language:response_language": Instruction(languages.response_language, {"language": languages.known}),
    "length_constraints:nth_paragraph_first_word": Instruction(
        length.nth_paragraph_first_word,
        {"num_paragraphs": _WHOLE, "nth_paragraph": _WHOLE, "first_word": _TEXT},
    ),
    "length_constraints:number_paragraphs": Instruction(length.number_paragraphs, {"num_paragraphs": _WHOLE}),
    "length_constraints:number_sentences": Instruction(
        length.number_sentences, {"num_sentences": _WHOLE, "relation": _RELATION}
    ),
    "length_constraints:number_words": Instruction(
        length.number_words, {"num_words": _WHOLE, "relation": _RELATION}
    ),
    "punctuation:exclamation_marks": Instruction(form.exclamation_marks, languages=_ES),
    "punctuation:no_comma": Instruction(form.no_comma),
    "punctuation:question_marks": Instruction(form.question_marks, languages=_ES),
    "special_character:accents": Instruction(
        letters.accents, {"word_to_accentuate": arguments.spellings}, _FR
    ),
    "special_character:dieresis": Instruction(letters.words_with_dieresis, {"let_frequency": _WHOLE}, _ES),
    "special_character:enie": Instruction(letters.words_with_enie, {"let_frequency": _WHOLE}, _ES),
    "special_character:ethel_or_cedilla": Instruction(
        letters.forbidden_character, {"forbidden_char": _TEXT}, _FR
    ),
    "special_character:no_accents": Instruction(letters.no_accents, languages=_FR),
    "special_character:tildes": Instruction(
        letters.words_with_acute, {"num_words": _WHOLE, "relation": _RELATION}, _ES
    ),
    "startend:end_checker": Instruction(ends.end_checker, {"end_phrase": _TEXT}),
    "startend:quotation": Instruction(ends.quotation),
}
"""Ids without the language that M-IFEval puts before them."""


_SHARED_WITH_JAPANESE = (
    "combination:repeat_prompt",
    "combination:two_responses",
    "detectable_content:number_placeholders",
    "detectable_content:postscript",
    "detectable_format:constrained_response",
    "detectable_format:json_format",
    "detectable_format:title",
    "keywords:existence",
    "keywords:frequency",
    "language:response_language",
    "length_constraints:number_paragraphs",
    "startend:quotation",
)
JAPANESE = {name: INSTRUCTIONS[name] for name in _SHARED_WITH_JAPANESE} | {
    "detectable_format:multiple_sections": Instruction(
        japanese.sections, {"section_spliter": _TEXT, "num_sections": _WHOLE}
    ),
    "detectable_format:nominal_ending": Instruction(japanese.nominal_ending, {"count": _WHOLE}),
    "detectable_format:number_bullet_lists": Instruction(japanese.bullets, {"num_bullets": _WHOLE}),
    "detectable_format:number_highlighted_sections": Instruction(
        japanese.highlights, {"num_highlights": _WHOLE}
    ),
    "detectable_format:number_numbered_lists": Instruction(japanese.numbered, {"num_items": _WHOLE}),
    "keywords:forbidden_words": Instruction(japanese.forbidden_words, {"forbidden_words": _TEXTS}),
    "keywords:letter_frequency": Instruction(
        japanese.letter_frequency, {"letter": _TEXT, "let_frequency": _WHOLE, "let_relation": _RELATION}
    ),
    "length_constraints:nth_paragraph_first_word": Instruction(
        japanese.first_word, {"num_paragraphs": _WHOLE, "nth_paragraph": _WHOLE, "first_word": _TEXT}
    ),
    "length_constraints:number_letters": Instruction(
        japanese.number_letters, {"num_letters": _WHOLE, "relation": _RELATION}
    ),
    "length_constraints:number_sentences": Instruction(
        japanese.number_sentences, {"num_sentences": _WHOLE, "relation": _RELATION}
    ),
    "letters:furigana": Instruction(japanese.furigana),
    "letters:hiragana_only": Instruction(japanese.only("ぁ-ゖー")),
    "letters:kanji": Instruction(japanese.kanji, {"kanji_limit": _WHOLE, "relation": _RELATION}),
    "letters:kansuuji": Instruction(japanese.kansuuji),
    "letters:katakana_only": Instruction(japanese.only("ァ-ヺーｦ-ﾟ")),
    "letters:no_hiragana": Instruction(japanese.without("ぁ-ゖ")),
    "letters:no_katakana": Instruction(japanese.without("ァ-ヺｦ-ﾟ")),
    "punctuation:no_comma": Instruction(japanese.no_comma),
    "punctuation:no_period": Instruction(japanese.no_period),
    "startend:end_checker": Instruction(japanese.end_checker, {"end_phrase": _TEXT}),
    "startend:sentence_unified_end": Instruction(japanese.unified_end, {"ending": _TEXT}),
}
"""Those of M-IFEval in Japanese."""

AS_PUBLISHED = INSTRUCTIONS | {
    "keywords:letter_frequency": Instruction(
        keywords.letter_frequency_or_any,
        {"letter": _TEXT, "let_frequency": _WHOLE, "let_relation": _RELATION},
    ),
    "language:response_language": Instruction(languages.response_language_by_code, {"language": _TEXT}),
}
"""The same, where the published checkers of IFEval and M-IFEval stray from their own instruction: so they are
followed under their name."""

JAPANESE_AS_PUBLISHED = JAPANESE | {
    "keywords:existence": Instruction(japanese.existence_by_tokens, {"keywords": _TEXTS}),
    "keywords:forbidden_words": Instruction(japanese.forbidden_words_by_tokens, {"forbidden_words": _TEXTS}),
    "keywords:frequency": Instruction(
        japanese.frequency_by_tokens, {"keyword": _TEXT, "frequency": _WHOLE, "relation": _RELATION}
    ),
    "language:response_language": AS_PUBLISHED["language:response_language"],
    "letters:hiragana_only": Instruction(japanese.only("ぁ-んー")),
    "letters:katakana_only": Instruction(japanese.only("ァ-ンーｦ-ﾟ")),
    "startend:sentence_unified_end": Instruction(japanese.unified_end_as_published, {"ending": _TEXT}),
}


def checks(
    instruction_id: str, given: Mapping[str, object], language: str, *, as_published: bool = False
) -> Callable[[str], bool | Outcome]:
    """Return the check of a text against the instruction, to the letter of the instruction or of the
    published checkers.

    An id may name its language first (`fr:punctuation:no_comma`, as M-IFEval) or not (as IFEval): then
    `language` counts.

    Raises:
        ValueError: the id is unknown in that language, or an argument is missing or wrong; the message names
            it.
    """
    own, _, rest = instruction_id.partition(":")
    language, name = (own, rest) if rest.count(":") else (language.split("-")[0], instruction_id)
    if language == "ja":
        instruction = (JAPANESE_AS_PUBLISHED if as_published else JAPANESE).get(name)
    else:
        instruction = (AS_PUBLISHED if as_published else INSTRUCTIONS).get(name)
    if instruction is None or language not in (*instruction.languages, "ja"):
        raise ValueError(f"{instruction_id}: no such instruction in {language}")
    kwargs: dict[str, Any] = {}
    for argument, read in instruction.needs.items():
        value = given.get(argument)
        if value is None:
            raise ValueError(f"{instruction_id}: `{argument}` is missing")
        try:
            kwargs[argument] = read(value)
        except ValueError as error:
            raise ValueError(f"{instruction_id}: `{argument}` {error}: {str(value)[:60]!r}") from error
    return lambda text: instruction.check(unicodedata.normalize("NFC", text), kwargs, language)
