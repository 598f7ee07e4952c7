"""Arguments and options that commands share, and the values that they take."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dsl.errors import ArgumentError
from dsl.messages import escaped


def named_in_unicode(path: Path) -> Path:
    """A path that can be written down: file systems take any bytes as names."""
    try:
        os.fspath(path.absolute()).encode()
    except (UnicodeEncodeError, FileNotFoundError) as error:
        why = (
            "its name is not UTF-8" if isinstance(error, UnicodeEncodeError) else "the working folder is gone"
        )
        raise typer.BadParameter(
            f"{escaped(os.fspath(path).encode(errors='backslashreplace').decode())}: {why}"
        ) from None
    return path


def share_of(text: str | None) -> float | None:
    """Return a share that is given in percent or as a number above 0 and up to 1. Raises ArgumentError."""
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ArgumentError(f"--remake {text}: a share is above 0 and at most 1, as 5% or 0.05")
    return share


SpecFile = Annotated[
    Path, typer.Argument(metavar="SPEC", help="The study's YAML file.", callback=named_in_unicode)
]
StoreFolder = Annotated[
    Path,
    typer.Option(
        "--store",
        help="Store folder: steps and the warehouse.",
        show_default="$XP_STORE, or .xp",
        callback=named_in_unicode,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a setting, as decoding.temperature=0.7. Repeatable."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Output JSON.")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="PATTERN",
        help="Only these steps, by id pattern or kind, and what they need. Repeatable.",
    ),
]
ShareAddress = Annotated[
    str | None,
    typer.Option(
        "--share",
        metavar="ADDRESS",
        help="Bucket through which stores share finished steps, as s3://bucket/prefix; AWS_* of the"
        " environment give access.",
        show_default="$XP_SHARE",
    ),
]
DEFAULT_STORE = Path(".xp")


class Format(StrEnum):
    """Output formats of `xp query`."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class ImportFormat(StrEnum):
    """Forms of results that `xp import` reads."""

    lm_eval = "lm-eval"
    inspect = "inspect"
    every_eval_ever = "every-eval-ever"


class ExportFormat(StrEnum):
    """Output formats of `xp export`."""

    inspect = "inspect"
    every_eval_ever = "every-eval-ever"
    parquet = "parquet"


class ReportFormat(StrEnum):
    """Output formats of `xp report`."""

    html = "html"
    latex = "latex"


MOST = 1_000_000
"""The largest number of rows that can be asked for."""
