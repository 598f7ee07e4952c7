"""Instructions that M-IFEval has in Japanese alone, or checks in another way there."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, cast

from runners.judges._ifeval.arguments import Checker
from runners.prompting.word_breaks import broken

_KANJI = "\u4e00-\u9faf"
_QUOTED = re.compile("「.*?」|『.*?』")
_ENDS = "。！？"


def sections(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least so many sections, each opened as `第2章`, in digits of either width."""
    return len(re.findall(rf"第\d+{re.escape(kwargs['section_spliter'])}", text)) >= kwargs["num_sections"]


def bullets(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many lines that begin with one `・`."""
    return len(re.findall(r"^\s*・[^・\n]", text, re.MULTILINE)) == kwargs["num_bullets"]


def numbered(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many lines that begin with a number, a full stop and a space."""
    return len(re.findall(r"^\s*\d+\.\s", text, re.MULTILINE)) == kwargs["num_items"]


def highlights(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least so many passages within a line between `《` and `》`."""
    found = re.findall(r"《([^\n《》]*)》", text)
    return sum(map(bool, map(str.strip, found))) >= kwargs["num_highlights"]


def end_checker(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The answer ends with the phrase, closing brackets of either left out."""
    return text.strip().strip("」』").endswith(kwargs["end_phrase"].strip("」』"))


def first_word(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many paragraphs, divided by an empty line, and the nth begins with the word, be it in
    brackets."""
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
    n: int = kwargs["nth_paragraph"]
    if sum(map(bool, paragraphs)) != kwargs["num_paragraphs"] or not 1 <= n <= kwargs["num_paragraphs"]:
        return False
    return paragraphs[n - 1].lstrip("「『").lower().startswith(kwargs["first_word"].lower())


def number_letters(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or fewer than so many characters, signs and line ends among them."""
    return kwargs["relation"](len(text), kwargs["num_letters"])


def number_sentences(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or fewer than so many sentences.

    As in the published checker a sentence ends with its line and with each `。`, `!` and `?` outside of
    brackets; a line that ends in `の` goes on in the next.
    """
    lines = re.sub(r"(?<=.)の[ 　]*\n[ 　]*", "の", text.strip().replace("\r\n", "\n")).split("\n")
    return kwargs["relation"](sum(map(_sentences_in, lines)), kwargs["num_sentences"])


def _sentences_in(line: str) -> int:
    unquoted = re.sub(r"「[^「」]*」|[(（][^()（）]*[)）]", "x", line)
    *ended, rest = re.split("[。!?！？]", unquoted)
    return len(ended) + bool(rest.strip())


def unified_end(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Every sentence outside of brackets ends in the same way, such as `です`."""
    return all(not said.strip() or said.strip().endswith(kwargs["ending"]) for said in _sentences(text))


def unified_end_as_published(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """`unified_end` as M-IFEval publishes it: white space behind the last sentence is a sentence too."""
    return all(not said or said.endswith(kwargs["ending"]) for said in _sentences(text))


def _sentences(text: str) -> list[str]:
    return re.split(f"[{_ENDS}]", _QUOTED.sub("", text))


def no_period(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """No `。`."""
    return "。" not in text


def no_comma(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """No `、`."""
    return "、" not in text


def furigana(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Behind every run of kanji its reading in hiragana stands between `（` and `）`."""
    return re.search(rf"[{_KANJI}](?![{_KANJI}]|（[ぁ-ん]+）)", text) is None


def kanji(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or fewer than so many kanji."""
    return kwargs["relation"](len(re.findall(f"[{_KANJI}]", text)), kwargs["kanji_limit"])


def kansuuji(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """No digit of either width: numbers are written in kanji."""
    return re.search(r"\d", text) is None


def without(letters: str) -> Checker:
    """Check that none of a class of characters occurs."""
    return lambda text, kwargs, language: re.search(f"[{letters}]", text) is None


def only(letters: str) -> Checker:
    """Check that every letter is of a class of characters; signs and digits are no letters."""
    pattern = re.compile(f"[{letters}]")
    return lambda text, kwargs, language: all(map(pattern.match, filter(str.isalpha, text)))


def letter_frequency(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A letter of the hiragana occurs at least or fewer than so many times, its katakana counted too."""
    letter: str = kwargs["letter"]
    found = text.count(letter)
    if "ぁ" <= letter <= "ゖ" and len(letter) == 1:
        found += text.count(chr(ord(letter) + ord("ァ") - ord("ぁ")))
    return kwargs["let_relation"](found, kwargs["let_frequency"])


def forbidden_words(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """None of the words stands in the text from where one of its words begins to where one ends."""
    between = f"\n{chr(10).join(broken(text))}\n"
    patterns = ("\n" + r"\n?".join(map(re.escape, word)) + "\n" for word in kwargs["forbidden_words"])
    return not any(re.search(pattern, between) for pattern in patterns)


def existence_by_tokens(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Every keyword is a token of the published tokenizer."""
    return {*kwargs["keywords"]} <= {word for word, _ in _tokens(text)}


def frequency_by_tokens(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The keyword is at least or fewer than so many tokens of the published tokenizer."""
    found = sum(word == kwargs["keyword"] for word, _ in _tokens(text))
    return kwargs["relation"](found, kwargs["frequency"])


def forbidden_words_by_tokens(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """None of the words is a token of the published tokenizer."""
    return {*kwargs["forbidden_words"]}.isdisjoint(word for word, _ in _tokens(text))


def nominal_ending(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least so many sentences outside of quotation end in a noun (`体言止め`), as the published tokenizer
    tells parts of speech."""
    tokens = _tokens(_QUOTED.sub("", text))
    ends = sum(kind.startswith("名詞") and sign in _ENDS for (_, kind), (sign, _) in pairwise(tokens))
    return ends >= kwargs["count"]


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return words and parts of speech as janome with IPADIC gives them.

    Raises:
        ValueError: it is not installed.
    """
    return [(token.surface, token.part_of_speech) for token in _tokenizer().tokenize(text)]


@cache
def _tokenizer() -> Any:
    try:
        from janome import tokenizer  # pyright: ignore  # it need not be installed, and comes without types
    except ImportError as error:
        raise ValueError("words are told by janome, which is not installed: pip install janome") from error
    return cast("Any", tokenizer).Tokenizer()
