"""`prompt_echo`: did the model write the user's part: invent the next query, or give the question back as its
answer?

A base model that is shown query after query goes on with the next one when its answer is done (URIAL stops it
there, arXiv 2312.01552; its stop strings know one spelling only). Judged is what a reader sees: what a stop
string cut off is no part of the answer, and is kept beside it as raw text. An invented query is a line that
opens a user's turn as prompt formats do (`# Query:`, `### Instruction:`, `User: …`, `Question: …`, a chat
template's mark), in one of the languages below, whatever the answer's language. A line that repeats the
item's own question above its answer is none. An answer that holds nothing but the question's words, in the
question's order, is an echo; with an answer behind them, were it one word, it is none.
"""

import re
from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.prompt_echo import Settings
from runners.judges._text.words import holds, words
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "instruction", "language")

USER = {
    "en": ("query", "question", "instruction", "user", "human", "prompt", "user input"),
    "fr": (
        "requête",
        "requete",
        "question",
        "instruction",
        "utilisateur",
        "utilisatrice",
        "humain",
        "consigne",
    ),
    "es": ("consulta", "pregunta", "instrucción", "instruccion", "usuario", "usuaria", "humano"),
    "de": ("anfrage", "frage", "anweisung", "eingabe", "nutzer", "nutzerin", "benutzer", "benutzerin"),
    "pt": ("pergunta", "consulta", "instrução", "utilizador", "utilizadora", "usuário", "usuária"),
    "it": ("domanda", "richiesta", "istruzione", "utente"),
    "ca": ("consulta", "pregunta", "instrucció", "usuari", "usuària"),
    "eu": ("galdera", "eskaera", "jarraibidea", "erabiltzailea"),
    "ja": ("質問", "問い", "依頼", "指示", "ユーザー"),
}
"""Words for the user's part in a language's prompts. Plurals are left out: `Instructions:` heads a recipe."""

_NAMES = "|".join(sorted({name for names in USER.values() for name in names}, key=len, reverse=True))
_NEXT = (
    r"(?:(?:next|new|another|nouvelle|prochaine|autre|nueva|siguiente|otra|nächste|neue|weitere|próxima|nova"
    r"|outra|prossima|nuova|altra|següent|hurrengo)\s|次の)?"
)
_COLON = "[:：]"
_GAP = r"[^\S\n]"  # French sets a no-break space before a colon
# A heading and nothing else on its line, or a name and a colon, in bold perhaps; `Q:` and `P:` are names too
# there.
_HEADING = re.compile(
    rf"^{_GAP}*#{{1,6}}{_GAP}*(?:{_NAMES})(?:{_GAP}*\d+)?{_GAP}*{_COLON}?{_GAP}*(?P<said>$|(?<={_COLON})"
    r"[^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(
    rf"^{_GAP}*[*_]{{0,2}}(?:{_NEXT}(?:{_NAMES})|[qp])[*_]{{0,2}}{_GAP}?{_COLON}[*_]{{0,2}}{_GAP}*"
    r"(?P<said>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_TEMPLATE = re.compile(
    r"<\|(?:im_start\|>)?user\b|<\|start_header_id\|>user|<start_of_turn>user|\[INST\]|<\|user\|>",
    re.IGNORECASE,
)
_OF_A_PROMPT = re.compile(
    r"#+[ \t]*(?!question|pregunta|frage|pergunta|domanda|galdera|質問|問い)|<|\[INST", re.IGNORECASE
)
"""Words that no quiz and no dialogue is written with."""

_ASKS_FOR_TURNS = re.compile(
    r"\b(?:questions?|quiz(?:zes)?|dialog(?:ue)?s?|conversations?|interviews?|faqs?|q\s?&\s?a|chat|script"
    r"|prompts?|survey|scene|play"
    r"|questionnaire|interrogation|entretien|sondage|scène|pièce|requêtes?|consignes?"
    r"|preguntas?|cuestionario|diálogos?|conversaci[oó]n(?:es)?|entrevistas?|encuesta|gui[oó]n|escena"
    r"|consultas?"
    r"|fragen?|anfragen?|gespräche?|umfragen?|fragebogen|szenen?|theaterstück|drehbuch"
    r"|perguntas?|questionário|conversas?|inquérito|sondagem|guião|roteiro|cenas?|peça"
    r"|domand[ae]|dialogh?[io]|conversazion[ei]|intervist[ae]|sondaggio|questionario|scen[ae]|copione"
    r"|preguntes|qüestionari|diàlegs?|convers(?:a|es)|entrevistes|enquest(?:a|es)|guió|consultes"
    r"|galder\w*|elkarrizket\w*|inkest\w*|antzezlan\w*|gidoi\w*)\b"
    r"|質問|問題|クイズ|対話|会話|インタビュー|アンケート|台本|脚本|プロンプト",
    re.IGNORECASE,
)
_ASKS_FOR_A_COPY = re.compile(
    r"\b(?:repeat|copy|quote|correct|fix|proofread|rewrite|rephrase|paraphrase|edit|sort|translate|extract"
    r"|capitali[sz]e|uppercase|lowercase"
    r"|répéte[rz]?|répète|copie[rz]?|cite[rz]?|corrige[rz]?|réécri\w*|reformule[rz]?|tradui\w*|trie[rz]?"
    r"|extrai\w*"
    r"|repite|repetir|repita|copi[ae]r?|cit[ae]r?|corrig[ei]r?|corrija|reescrib\w*|reformul\w*|traduc\w*"
    r"|traduzca|orden[ae]r?|extra\w*"
    r"|wiederhol\w*|kopier\w*|zitier\w*|korrigier\w*|umschreib\w*|(?:um)?formulier\w*|übersetz\w*|sortier\w*"
    r"|repet\w*|corrij\w*|reescrev\w*|traduz\w*"
    r"|ripet\w*|cit[ai]\w*|corregg\w*|riscriv\w*|riformul\w*|ordin\w*|estra\w*"
    r"|repeteix\w*|corregeix\w*|reescri\w*|tradueix\w*"
    r"|errepika\w*|kopia\w*|zuzen\w*|berridatz\w*|itzul\w*|ordena\w*)\b"
    r"|繰り返|復唱|コピー|引用|訂正|修正|書き直|言い換え|翻訳|訳して|並べ替え|抜き出|抽出",
    re.IGNORECASE,
)


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        instruction, language = answer.example.instruction, answer.example.language
        turn = _invented_turn(answer.text, instruction)
        if turn is not None and _ASKS_FOR_TURNS.search(instruction) and not _OF_A_PROMPT.match(turn):
            yield answer.unscored("prompt_echo", "questions or turns of a conversation were asked for")
        elif turn is not None:
            yield answer.scored("prompt_echo", 0, reason=f"goes on with {turn[:60]!r}")
        elif _is_the_question(answer.text, instruction, settings):
            yield answer.scored("prompt_echo", 0, reason="gives the question back")
        elif language.split("-")[0] not in USER:
            yield answer.unscored(
                "prompt_echo", f"what prompts call the user's part in {language} is not known"
            )
        else:
            yield answer.scored("prompt_echo", 1)


def _invented_turn(text: str, instruction: str) -> str | None:
    """The first line that opens a user's turn, unless it only says the item's own question again."""
    if template := _TEMPLATE.search(text):
        return template[0]
    asked = words(instruction)
    for found in sorted((*_HEADING.finditer(text), *_LABEL.finditer(text)), key=lambda found: found.start()):
        said = words(found["said"] or _next_line(text, found.end()))
        if not said or not holds(asked, said):
            return found[0].strip()
    return None


def _next_line(text: str, start: int) -> str:
    """The first line from `start` on that is not empty and no fence."""
    lines = (line.strip(" `") for line in text[start:].splitlines())
    return next(filter(None, lines), "")


def _is_the_question(text: str, instruction: str, settings: Settings) -> bool:
    said, asked = words(text), words(instruction)
    if len(said) < settings.min_run or len(asked) < settings.min_run or _ASKS_FOR_A_COPY.search(instruction):
        return False
    runs = {asked[at : at + settings.min_run] for at in range(len(asked) - settings.min_run + 1)}
    copied = [False] * len(said)
    for at in range(len(said) - settings.min_run + 1):
        if said[at : at + settings.min_run] in runs:
            copied[at : at + settings.min_run] = [True] * settings.min_run
    return copied[-1] and copied.count(False) <= settings.max_own_words * len(said)
