"""IFEval's loose reading: an instruction counts as followed when a version of the answer without its
trimmings follows it."""


def variants(text: str) -> tuple[str, ...]:
    """The text as it is first, then without its first line (an introduction), its last (a closing), both, and
    each of these four without asterisks (Markdown's emphasis): eight versions, arXiv 2311.07911, section 2.2.
    Versions with nothing in them are left out.
    """
    lines = text.split("\n")
    cut = (text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])))
    return tuple(
        dict.fromkeys(
            version for version in (*cut, *(one.replace("*", "") for one in cut)) if version.strip()
        )
    )
