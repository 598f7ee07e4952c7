"""Settings of the `ifeval` judge."""

from typing import ClassVar, Literal

from dsl.judges.contract import RightOrWrong


class Settings(RightOrWrong):
    """1 where every instruction of the item is followed, 0 where one is not: by the answer as it is
    (`strict`), or for each instruction by some version of it without a first line, a last line or asterisks
    (`loose`). The verdict's parts say it of each instruction. Items whose list of
    instructions is null or empty text get no verdict.
    """

    LABEL: ClassVar[str] = "follows every instruction"
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = "instructions"
    judge: Literal["ifeval"] = "ifeval"
    benchmark: Literal["ifeval", "m_ifeval"] | None = None
    """The benchmark whose published definition is followed to the letter: a missing answer follows nothing
    (as with `missing_as: 0`), a random letter is counted where `#` or `!` is asked for, and `zh` is not the
    detector's `zh-cn`; words of Japanese are those of janome, which is installed by hand (`pip install
    janome`). Left out, instructions are taken at their word."""

    def missing_score(self) -> float | None:
        return 0 if self.benchmark else self.missing_as

    def verdict_aspects(self) -> tuple[str, ...]:
        return "strict", "loose"
