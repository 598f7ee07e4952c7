"""Every verifiable instruction on texts that follow it and texts that do not, in each of its languages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.judges._ifeval.arguments import RELATIONS, Outcome
from runners.judges._ifeval.registry import INSTRUCTIONS, checks
from runners.judges._ifeval.words import count_sentences, published_words
from tests.runners.judges.answers import HOSTILE

Arguments = dict[str, Any]

AT_LEAST = {"en": "at least", "fr": "au moins", "es": "al menos"}
FEWER = {"en": "less than", "fr": "moins de", "es": "como máximo"}

EN, FR, ES = ("en",), ("fr",), ("es",)
ALL = ("en", "fr", "es")

ENGLISH = "the quick brown fox jumps over the lazy dog and then it sleeps in the shade of an old tree."
FRENCH = "le renard rapide saute par-dessus le chien paresseux, puis il dort à l'ombre d'un vieil arbre."
SPANISH = "el zorro rápido salta sobre el perro perezoso y luego duerme a la sombra de un árbol viejo."

CASES: list[tuple[str, tuple[str, ...], Arguments, list[str], list[str]]] = [
    # id, languages, arguments, texts that follow it, texts that do not
    (
        "change_case:english_capital",
        EN,
        {},
        [ENGLISH.upper()],
        [ENGLISH, ENGLISH.upper() + " Yes", FRENCH.upper()],
    ),
    (
        "change_case:english_lowercase",
        EN,
        {},
        [ENGLISH, ENGLISH + " 12"],
        [ENGLISH.capitalize(), FRENCH, "12"],
    ),
    ("change_case:french_capital", FR, {}, [FRENCH.upper()], [FRENCH, ENGLISH.upper()]),
    ("change_case:french_lowercase", FR, {}, [FRENCH], [FRENCH.capitalize(), ENGLISH]),
    ("change_case:spanish_capital", ES, {}, [SPANISH.upper()], [SPANISH, FRENCH.upper()]),
    ("change_case:spanish_lowercase", ES, {}, [SPANISH], [SPANISH.capitalize(), ENGLISH]),
    (
        "combination:repeat_prompt",
        ALL,
        {"prompt_to_repeat": "Say hi."},
        ["Say hi. Hi!", " say HI.\nHi"],
        ["Hi! Say hi.", "Say hi"],
    ),
    (
        "combination:two_responses",
        ALL,
        {},
        ["one\n******\ntwo", "******one******two******"],
        ["one", "one******one", "one******two******three", "one************two", ""],
    ),
    (
        "detectable_content:informal_address",
        FR,
        {},
        ["Que veux-tu ?", "Je t'aime", "Je t’aime"],
        ["Que voulez-vous ?", "Le but, une tenue"],
    ),
    ("detectable_content:no_digits", FR, {}, ["trois"], ["3 pommes", "٣"]),
    (
        "detectable_content:number_placeholders",
        ALL,
        {"num_placeholders": 2},
        ["[a] and [b]", "[[a]] [b] [c]"],
        ["[a] and b", "[a\nb] [c]"],
    ),
    (
        "detectable_content:postscript",
        EN,
        {"postscript_marker": "P.P.S"},
        ["Bye\nP. P. S. more", "p.p.s: so"],
        ["P.S. more", "PPS"],
    ),
    (
        "detectable_content:postscript",
        FR,
        {"postscript_marker": "P.-S."},
        ["À demain\np.-s. et voilà"],
        ["PS : et voilà"],
    ),
    (
        "detectable_content:postscript",
        ES,
        {"postscript_marker": "P.D."},
        ["Adiós\nP. D. Ven pronto"],
        ["PD: ven", "posdata"],
    ),
    (
        "detectable_format:constrained_response",
        EN,
        {},
        ["Well. My answer is maybe."],
        ["Maybe.", "my answer is yes."],
    ),
    ("detectable_format:constrained_response", FR, {}, ["Oui.", "Ah ! Peut-être."], ["Oui", "No."]),
    ("detectable_format:constrained_response", ES, {}, ["Sí.", "Quizás."], ["Si.", "Quizás"]),
    (
        "detectable_format:json_format",
        ALL,
        {},
        ['{"a": [1, 2]}', '```json\n{"a": 1}\n```', '```\n"é"\n```', "3"],
        ['Here: {"a": 1}', "{a: 1}", "", "[" * 100_000],
    ),
    (
        "detectable_format:multiple_sections",
        ALL,
        {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION2 SECTION3"],
        ["SECTION 1\na", "section 1 section 2", "SECTION one SECTION two"],
    ),
    (
        "detectable_format:number_bullet_lists",
        EN,
        {"num_bullets": 2},
        ["* a\n* b", "x\n  - a\n* b"],
        ["* a", "** a\n** b", "* a\n* b\n- c"],
    ),
    ("detectable_format:number_bullet_lists", FR, {"num_bullets": 2}, ["* a\n- b"], ["+ a\n+ b"]),
    ("detectable_format:number_bullet_lists", ES, {"num_bullets": 2}, ["* a\n* b\n- c"], ["- a\n- b"]),
    (
        "detectable_format:number_highlighted_sections",
        ALL,
        {"num_highlights": 2},
        ["*a* and *b*", "**a** and *b*"],
        ["*a*", "** ** *a*", "*a\nb* *c*"],
    ),
    (
        "detectable_format:title",
        EN,
        {},
        ["<<A title>>\nText", "x <<<a>>>"],
        ["<A title>", "<< >>", "<<a\nb>>", "##A##"],
    ),
    ("detectable_format:title", FR, {}, ["##hymne à la joie##"], ["## hymne à la joie", "####", "<<hymne>>"]),
    ("detectable_format:title", ES, {}, ["<<poema>>"], ["«poema»"]),
    (
        "keywords:existence",
        ALL,
        {"keywords": ["café", "c++"]},
        ["CAFÉS, C++", "cafe\u0301 et c++"],
        ["café", "cafe c++"],
    ),
    (
        "keywords:forbidden_words",
        ALL,
        {"forbidden_words": ["art", "été"]},
        ["party"],
        ["Modern ART.", "l'été", "e\u0301te\u0301"],
    ),
    ("startend:quotation", EN, {}, ['"Hi."', ' "Hi"\n'], ["Hi", '"', "'Hi'", '"Hi" he said']),
    ("startend:quotation", FR, {}, ["« Oui »", "'Oui'", '"Oui"'], ["« Oui", '«Oui"']),
    ("startend:quotation", ES, {}, ['"Sí"'], ["«Sí»"]),
    (
        "startend:end_checker",
        EN,
        {"end_phrase": "Any questions?"},
        ["Yes. any questions?", '"Yes. Any questions?"'],
        ["Any questions? No."],
    ),
    ("startend:end_checker", FR, {"end_phrase": "À bientôt."}, ["Oui. à bientôt."], ["À bientôt"]),
    (
        "startend:end_checker",
        ES,
        {"end_phrase": "Un saludo"},
        ["Sí. Un saludo.", "un saludo"],
        ["Un saludo, Ana"],
    ),
    (
        "language:response_language",
        ALL,
        {"language": "ne"},
        ["यो नेपालको एक सुन्दर शहर हो।"],
        ["यह भारत का एक सुंदर शहर है।"],
    ),
    (
        "language:response_language",
        ALL,
        {"language": "kn"},
        ["ಇದು ಒಂದು ಸುಂದರ ನಗರ"],
        ["This is a beautiful town"],
    ),
    (
        "language:response_language",
        ALL,
        {"language": "zh-cn"},
        ["这是一个美丽的城市", "12"],
        ["Das ist eine schöne Stadt"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        ALL,
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Desde"},
        ["Uno.\n\ndesde aquí", "Uno.\n\nDesde, aquí\n\n"],
        ["Uno.\n\nAquí", "desde\n\nAquí", "Uno.\n\ndesde\n\nTres", "Uno.\n\ndesdeño"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        ES,
        {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "En mi opinión"},
        ["**En mi opinión**, sí", "En mi opinión sí"],
        ["En mi casa, sí", "En mi"],
    ),
    (
        "length_constraints:number_paragraphs",
        ALL,
        {"num_paragraphs": 2},
        ["a\n***\nb", "***\na\n***\nb\n***"],
        ["a", "a\n\nb", "a\n***\n***\nb", "", "***"],
    ),
    ("punctuation:exclamation_marks", ES, {}, ["¡Sí!", "Bueno… ¡por\nfin!"], ["Sí!", "¡!", "¡Sí"]),
    ("punctuation:question_marks", ES, {}, ["¿Sí?", "¿ ¿a?"], ["Sí?", "¿ ?", "¿Sí"]),
    ("punctuation:no_comma", ALL, {}, ["One; two、three"], ["One, two"]),
    (
        "special_character:accents",
        FR,
        {"word_to_accentuate": {"lecon": "leçon", "tot": "tôt"}},
        ["La leçon commence TÔT.", "Rien."],
        ["La lecon commence tôt.", "La léçon"],
    ),
    (
        "special_character:dieresis",
        ES,
        {"let_frequency": 2},
        ["El pingüino y la CIGÜEÑA"],
        ["El pingüino", "pingüino, agüero, paragüas"],
    ),
    (
        "special_character:enie",
        ES,
        {"let_frequency": 2},
        ["El niño y la SEÑORA", "nin\u0303o, ñandú"],
        ["ñoño", "El niño"],
    ),
    (
        "special_character:ethel_or_cedilla",
        FR,
        {"forbidden_char": "œ"},
        ["Le coeur, ça va"],
        ["L'ŒUF", "cœur"],
    ),
    (
        "special_character:ethel_or_cedilla",
        FR,
        {"forbidden_char": "ç"},
        ["Le cœur va"],
        ["Ça va", "c\u0327a va"],
    ),
    ("special_character:no_accents", FR, {}, ["Le cœur bat"], ["été", "ça", "e\u0301te"]),
]


def counted(
    name: str, languages: tuple[str, ...], arguments: Arguments, relation: str, two: str, three: str
) -> list[Any]:
    """Cases of an instruction that counts: asked for three, then for fewer than three."""
    return [
        (name, (language,), arguments | {relation: words[language]}, [follows], [fails])
        for language in languages
        for words, follows, fails in ((AT_LEAST, three, two), (FEWER, two, f"{three} {three}"))
    ]


CASES += [
    *counted(
        "change_case:capital_word_frequency",
        ALL,
        {"capital_frequency": 3},
        "capital_relation",
        "ONE arc-EN-ciel TWO-TWO",
        "ONE (TWO): **É**",
    ),
    *counted(
        "keywords:frequency",
        ALL,
        {"keyword": "sol", "frequency": 3},
        "relation",
        "sol Sol",
        "sol SOL parasol",
    ),
    *counted(
        "keywords:letter_frequency", ALL, {"letter": "E", "let_frequency": 3}, "let_relation", "eEéè", "eE e"
    ),
    *counted(
        "length_constraints:number_sentences",
        ALL,
        {"num_sentences": 3},
        "relation",
        "Ana canta. Luis come.",
        "Ana canta. Luis come. Todos bailan!",
    ),
    *counted(
        "length_constraints:number_words", ALL, {"num_words": 3}, "relation", "uno, dos", "uno dos: tres"
    ),
    *counted("special_character:tildes", ES, {"num_words": 3}, "relation", "así áé tilde ñu", "así SÍ allá"),
]


def test_every_instruction_has_cases_in_each_of_its_languages() -> None:
    assert {(name, language) for name, languages, *_ in CASES for language in languages} == {
        (name, language) for name, one in INSTRUCTIONS.items() for language in one.languages
    }


@pytest.mark.parametrize(
    ("name", "languages", "arguments", "follow", "fail"),
    CASES,
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_follows_an_instruction_and_what_does_not(
    name: str, languages: tuple[str, ...], arguments: Arguments, follow: list[str], fail: list[str]
) -> None:
    for language in languages:
        follows = checks(f"{language}:{name}", arguments, "other")
        assert [text for text in follow if not follows(text)] == []
        assert [text for text in fail if follows(text)] == []


def test_an_abbreviation_ends_no_french_sentence_and_a_list_number_is_no_spanish_one() -> None:
    fewer = {"num_sentences": 2, "relation": "less than"}
    assert checks("fr:length_constraints:number_sentences", fewer, "fr")(
        "Voici M. Dupont, Mme. Martin, etc. et la tél. 12."
    )
    assert checks("es:length_constraints:number_sentences", fewer, "es")("1. Primero el agua")
    assert not checks("en:length_constraints:number_sentences", fewer, "en")("It rains. It pours.")


def test_a_hyphen_joins_a_spanish_word_but_not_an_english_one() -> None:
    fewer = {"num_words": 3, "relation": "less than"}
    text = "- teórico-práctico - bien"
    assert checks("es:length_constraints:number_words", fewer, "es")(text)
    assert not checks("en:length_constraints:number_words", fewer, "en")(text)


def test_an_id_without_a_language_takes_the_items() -> None:
    assert checks("detectable_format:title", {}, "fr-CA")("##titre##")
    assert checks("detectable_format:title", {}, "en")("<<title>>")


@pytest.mark.parametrize(
    ("instruction_id", "arguments", "says"),
    [
        ("ja:letters:romaji", {}, "ja:letters:romaji: no such instruction in ja"),
        ("fr:punctuation:question_marks", {}, "no such instruction in fr"),
        ("punctuation", {}, "punctuation: no such instruction in en"),
        ("keywords:existence", {}, "keywords:existence: `keywords` is missing"),
        ("keywords:existence", {"keywords": None}, "`keywords` is missing"),
        ("keywords:existence", {"keywords": []}, "`keywords` is no list of texts"),
        ("keywords:existence", {"keywords": ["a", 1]}, "`keywords` is no text"),
        (
            "length_constraints:number_paragraphs",
            {"num_paragraphs": "3"},
            "`num_paragraphs` is no whole number: '3'",
        ),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2.5}, "is no whole number"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": True}, "is no whole number"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": -1}, "is no whole number"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": float("inf")}, "is no whole number"),
        (
            "length_constraints:number_words",
            {"num_words": 3, "relation": "exactly"},
            "`relation` is none of at least, less than",
        ),
        (
            "language:response_language",
            {"language": "tlh"},
            "`language` is none of the languages that can be identified, af, ar, .*: 'tlh'",
        ),
        ("fr:special_character:accents", {"word_to_accentuate": {}}, "is no mapping of texts"),
        ("startend:end_checker", {"end_phrase": " "}, "`end_phrase` is no text"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(
    instruction_id: str, arguments: Arguments, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        checks(instruction_id, arguments, "en")


def test_a_whole_number_may_be_written_as_parquet_does() -> None:
    assert checks("length_constraints:number_paragraphs", {"num_paragraphs": 1.0}, "en")("one")


@pytest.mark.parametrize(
    ("name", "languages", "arguments"),
    [case[:3] for case in CASES],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_hostile_text_is_checked_like_any_other(
    name: str, languages: tuple[str, ...], arguments: Arguments
) -> None:
    for language in languages:
        follows = checks(f"{language}:{name}", arguments, language)
        for text in (*HOSTILE, "[" * 50_000, "<" * 50_000, "¿" * 50_000, "\n" * 50_000, "*" * 50_000):
            assert isinstance(follows(text), bool | Outcome)


@given(st.integers(0, 99), st.integers(0, 99))
def test_fewer_is_the_opposite_of_at_least_and_at_most_leaves_room_for_the_number_itself(
    found: int, asked: int
) -> None:
    for least, fewer in (("at least", "less than"), ("au moins", "moins de")):
        assert RELATIONS[least](found, asked) != RELATIONS[fewer](found, asked)
    assert RELATIONS["al menos"](found, asked) == RELATIONS["at least"](found, asked)
    assert RELATIONS["como máximo"](found, asked) == RELATIONS["at most"](found, asked) == (found <= asked)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("L'ÉCOLE", 1),
        ("l'ÉCOLE", 0),
        ("L’ÉCOLE", 2),
        ("l’ÉCOLE", 1),
        ("JUSQU'À", 2),
        ("« OUI » et «NON»", 2),
        ("SOI-DISANT : OUI,NON", 3),
        ("**PARIS**/LYON", 2),
        ("IT'S DONE.", 3),
        ("He CANNOT wait...", 2),
        ("U.S.A. at 10:30AM", 2),
        ("NON…oui", 0),
    ],
)
def test_capital_words_with_elisions_and_guillemets_are_counted_as_published(text: str, n: int) -> None:
    assert sum(map(str.isupper, published_words(text))) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Il dit : « Bonjour. » Puis il part.", 2),
        ("« Non ! » dit-elle. « Quoi ? » Oui.", 4),
        ("Il crie : «Non !» Elle rit.", 1),
        ("Il répond « Oui.« Elle rit.", 1),
        ("Un livre, un film, etc. C’est bien.", 1),
        ("P.-S. J’espère que tu vas bien !", 1),
        ("La dir. Elle part.", 2),
    ],
)
def test_french_sentences_with_guillemets_are_counted_as_published(text: str, n: int) -> None:
    assert count_sentences(text, "fr") == n
