"""Detection of program code in a text, and of instructions in English, French or Spanish that ask for
some."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^ {0,3}(?:```|~~~)[ \t]*([^\s`]*)")
# What a fence is also used for: prose, formulas, and the data of an example.
_NOT_PROGRAMS = frozenset(
    {"", "text", "txt", "plaintext", "plain", "markdown", "md", "latex", "tex", "math", "csv", "output"}
)

_CODE_LINES = re.compile(
    r"""
      # Python, Java, JavaScript
      ^\s*(?:from\s+[\w.]+\s+)?import\s+[\w.{}*]+(?:\s*,\s*[\w.]+)*(?:\s+as\s+\w+)?;?\s*$
    | (?:^|\s)(?:async\s+)?def\s+\w+\s*\([^()]*\)\s*(?:->[^:]+)?:                                  # Python
    | ^\s*class\s+\w+\s*(?:\([\w.,\s]*\))?\s*[:{]\s*$
    | ^\s*(?:if|elif|while)\s+.*(?:[=!<>]=|[<>]|\(\)).*:\s*$
    | ^\s*for\s+[\w,\s]+\s+in\s+(?:range|enumerate|zip|\w+\.|\[).*:\s*$
    | ^\s*(?:if\s+__name__|try:|else:|finally:|except\b.*:)
    | ^\s+return\b.*[\w)\]}'";]$
    | ^\s*(?:print|println|printf|echo|puts|input|len)\s?\(.*\)\s*;?\s*$
    | ^\s*[A-Za-z_][\w.\[\]]*\s*[-+*/]?=\s*
      (?:(?!sqrt|sin|cos|tan|log|ln|exp|max|min|abs)[A-Za-z_][\w.]*\(.*\)
      |\[.*\]|\{.*|["'].*["']|new\s.*)\s*;?\s*$
      # C, C++, C#, Java
    | ^\s*\#include\s*[<"] | ^\s*(?:using\s+(?:namespace\s+)?\w[\w.]*|package\s+[\w.]+);\s*$
    | \b(?:public|private|protected)\s+(?:static\s+)?(?:class|void|int|String|final|double|boolean)\b
    | ^\s*(?:int|float|double|char|bool|void|string|String|auto|long)\s+\w+\s*(?:=.*;|\(.*\)\s*\{?|;)\s*$
      # JavaScript
    | ^\s*(?:const|let|var)\s+\w+\s*=\s | ^\s*(?:export\s+)?function\s+\w*\s*\(.*\)\s*\{ | =>\s*\{\s*$
    | \b(?:console\.log|System\.out\.print(?:ln)?|document\.\w+|Math\.\w+)\s*\(
    | \w\([^()]*\)\s*\{.*\}\s*$ | \bthis\.\w+\s*=[^=]
    | ^\s*\}?\s*(?:else\b.*)?[{}]\s*\)?[;,]?\s*$ | ^\s*(?:if|for|while|switch)\s*\(.*\)\s*\{\s*$
    | ^[^.]*\w\(.*\);\s*$
    | ^\s*</?(?:!DOCTYPE|html|head|body|meta|link|script|style
      |div|form|input|ul|ol|li|table|tr|t[dh]|p|h[1-6])\b[^>]*>
    | <script\b | <\?php | ^\s*\$\w+\s*=.*;
    | \bSELECT\b.+\bFROM\b | \b(?:INSERT\s+INTO|CREATE\s+TABLE|DELETE\s+FROM|ALTER\s+TABLE)\b
    | \bUPDATE\s+\w+\s+SET\b
    | ^\s*\#!/ | ^\s*\$\s+[a-z][\w-]*\s+\S                                                       # a shell
    | ^\s*(?:\$\s+)?(?:sudo|pip3?\s+install|npm\s+(?:install|run)|git\s+(?:clone|add|commit|push)
      |apt(?:-get)?\s+install)\s
    """,
    re.VERBOSE,
)

ASKING_LANGUAGES = frozenset({"en", "fr", "es"})
"""Languages whose words for code are known here."""

_LANGUAGES = (
    r"python|javascript|typescript|html5?|css|sql|php|bash|powershell|matlab|latex|regex|json|xml|yaml"
    r"|c\+\+|c\#|java|golang|lua|luau|vba"
    r"|numpy|pandas|pygame|docker|linux"
)
_NOUNS = (
    r"functions?|programs?|scripts?|code|class(?:es)?|queries|query|algorithms?|regular\sexpressions?"
    r"|snippets?"
    r"|fonctions?|programmes?|classes?|requêtes?|algorithmes?|expressions?\srégulières?"
    r"|funci[oó]n(?:es)?|programas?|clases?|consultas?|algoritmos?|expresi[oó]n(?:es)?\sregular(?:es)?|código"
)
_VERBS = (
    r"write|implement|create|develop|debug|fix|refactor|complete|give|provide|generate|design"
    r"|écri[st]|écrivez|écrire|implémente[rz]?|crée[rz]?|développe[rz]?|débogue[rz]?|corrige[rz]?"
    r"|donne[rz]?|rédige[rz]?|propose[rz]?"
    r"|escrib[aei]r?|implement[ae]r?|cre[ae]r?|desarroll[ae]r?|depur[ae]r?|corrige|corregir|da(?:me)?"
    r"|genera|diseñ[ae]r?"
)
_ASKS = re.compile(
    rf"""
      (?<![\w/]) (?:{_LANGUAGES}) (?![\w+\#])
    | \b(?:{_VERBS})\b \W+ (?:[\w'’]+\W+){{0,4}}? (?:{_NOUNS})\b
    | \b(?:source\s+code|code\s+source|coding|to\s+code|pseudo-?code|programming
      |programmation|programación|stack\s?overflow)\b
    | \b[A-Za-z_]\w*\((?:\)|["'])  # a call
    """,
    re.VERBOSE | re.IGNORECASE,
)

_LONGEST_LINE = 2_000  # characters of a line that are looked at


@dataclass(frozen=True)
class Code:
    """Code that was found in a text."""

    lines: int
    """Lines that look like code, fenced or not."""
    share: float
    """The part of the text's characters that are in them."""
    first: str
    """The first of them."""
    fenced_as: str | None
    """The language named by a fence with something in it."""


def code_in(text: str) -> Code:
    """Find lines that look like code, or stand in a block fenced as a programming language."""
    found: list[str] = []
    n_characters = 0
    fence: str | None = None
    fenced_as: str | None = None
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark:
            fence = mark[1].casefold() if fence is None or mark[1] else None
            continue
        n_characters += len(line.strip())
        is_fenced = fence is not None and fence not in _NOT_PROGRAMS
        if is_fenced and line.strip():
            fenced_as = fenced_as or fence
        if line.strip() and (is_fenced or _CODE_LINES.search(_without_inline(line[:_LONGEST_LINE]))):
            found.append(line.strip())
    return Code(len(found), sum(map(len, found)) / max(1, n_characters), found[0] if found else "", fenced_as)


def asks_for_code(instruction: str) -> bool:
    """Check if the instruction asks for code, or shows some to be worked on."""
    return _ASKS.search(instruction) is not None or code_in(instruction).lines > 0 or "```" in instruction


def _without_inline(line: str) -> str:
    """A name in backticks is spoken of, not run."""
    return re.sub(r"`[^`]*`", "", line)
