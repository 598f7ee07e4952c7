"""Descriptions of fields: the strings under them in the code, read from the source when somebody asks.

Pydantic would read it whenever a class is made, which takes a fifth of the time of a plan.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def described(cls: type[BaseModel]) -> dict[str, str]:
    """Field -> the text under it, or under the field of the same name in the nearest base class that has
    one."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _texts(base)
    return found


@cache
def _texts(cls: type[BaseModel]) -> Mapping[str, str]:
    """Return the texts of this class alone, read once: many classes have the same bases."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for statements in pairwise(tree.body):
        match statements:
            case (ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text)))):
                found[field] = inspect.cleandoc(text)
            case _:
                pass
    return found
