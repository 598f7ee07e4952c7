"""Meaning of an unquoted word in YAML, in the reading that YAML's versions agree on.

YAML 1.1 (PyYAML's) and YAML 1.2 read some words differently: `no`, `1e-4`, `010`, `1:30`, `1_000`. We take
what both read alike and refuse the rest: a setting must not depend on who reads the file.
"""

import json
import math
import re
from typing import Any, NoReturn, TypeAlias, cast

import yaml

from dsl.messages import Path, is_secret, shorten, written

Scalar: TypeAlias = bool | int | float | str | None

_BASED = re.compile(r"[-+]?0(?:[xX][0-9a-fA-F_]+|o[0-7_]+|b[01_]+)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_FLOAT = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?:[eE](?P<exponent>[-+]?[0-9]+))?"
)
_YAML_11 = cast("Any", yaml.resolver.Resolver())


class Ambiguous(ValueError):
    """An unquoted word that YAML's versions read differently, or that no setting can hold. The text says what
    to write instead."""


def read_plain(text: str, path: Path = ()) -> Scalar:
    """The value of an unquoted word; `path` says where it stands, so that an error does not repeat a secret.

    Raises: Ambiguous.
    """
    if _BASED.fullmatch(text):
        _refuse("{} is a number in another base", text, path, "it in decimal")
    if _LEADING_ZERO.fullmatch(text):
        _refuse(
            "{} starts with a zero: octal for some readers of YAML, decimal or text for others",
            text,
            path,
            "it without the zero",
        )
    match str(_YAML_11.resolve(yaml.ScalarNode, text, (True, False))).rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return _read_bool(text, path)
        case "int" | "float" if ":" in text:
            _refuse("YAML reads {} as a number in base 60", text, path)
        case "int" | "float" if "_" in text:
            _refuse(
                "{} is a number for some readers of YAML and text for others",
                text,
                path,
                text.replace("_", ""),
            )
        case "int":
            return _read_int(text, path)
        case "float":
            return _read_float(text, path)
        case "timestamp":
            _refuse("YAML reads {} as a date", text, path)
        case _:
            return _read_text(text, path)


def _read_bool(text: str, path: Path) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    truth = "true" if text.lower() in ("yes", "on") else "false"
    _refuse(f"YAML reads {{}} as {truth}", text, path)


def _read_int(text: str, path: Path) -> int:
    # Python refuses to read integers of thousands of digits, and no column of ours holds more than 64 bits.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        _refuse("{} is too large for a whole number (64 bits)", text, path)
    return int(text)


def _read_float(text: str, path: Path) -> float:
    if text.lower().endswith((".inf", ".nan")) or not math.isfinite(float(text)):
        _refuse("{} is not a finite number, and no setting may be anything else", text, path)
    return float(text)


def _read_text(text: str, path: Path) -> str:
    number = _FLOAT.fullmatch(text)
    if number and (number["whole"] or number["part"]):
        exponent = number["exponent"]
        signed = "" if exponent is None else f"e{exponent}" if exponent[0] in "+-" else f"e+{exponent}"
        _refuse(
            "{} is text in YAML",
            text,
            path,
            f"{number['sign']}{number['whole'] or '0'}.{number['part'] or '0'}{signed}",
        )
    return text


def _refuse(saying: str, text: str, path: Path, instead: str = "") -> NoReturn:
    """`saying` names the word by `{}`; `instead` is what to write where the number is meant."""
    said = saying.format(written(text, path))
    if is_secret(text, path):
        raise Ambiguous(f"{said}. Quote it.")
    quoted = shorten(json.dumps(text, ensure_ascii=False))
    if instead:
        raise Ambiguous(f"{said}. Write {shorten(instead)}, or quote it if text is meant: {quoted}.")
    raise Ambiguous(f"{said}. Quote it: {quoted}.")
