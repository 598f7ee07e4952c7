"""Values of YAML files beside a spec: prompt texts, rubrics, texts of judges."""

import hashlib
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from dsl.data.regular_files import begins_as, read_regular
from dsl.errors import DataError, SpecError
from dsl.values import Value
from dsl.yaml.document import read_yaml
from dsl.yaml.validation_errors import explain

Read = TypeVar("Read", bound=Value)


def value_sha256(value: Value) -> str:
    """SHA-256 of what a file holds, in hex: its comments, its layout and defaults that it writes out do not
    count. The order of its keys does, since aspects are asked in theirs."""
    return hashlib.sha256(value.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def read_value(path: Path, cls: type[Read], called: str) -> Read:
    """Read a YAML file as a value; `called` names in errors what it should be.

    Raises:
        DataError: it cannot be read or is invalid; every problem with its line and column.
    """
    content = read_regular(path).decode("utf-8", "replace")
    if not begins_as(content, cls.model_fields):
        raise DataError(f"{path}: not {called}: it has none of the keys {', '.join(cls.model_fields)}")
    try:
        document = read_yaml(path)
        try:
            return cls.model_validate(document.data)
        except ValidationError as error:
            raise SpecError(explain(error, document, model=cls)) from error
    except SpecError as error:
        raise DataError(f"not {called}: {'; '.join(map(str, error.problems))}") from error
