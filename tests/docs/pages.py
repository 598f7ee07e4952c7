"""Parts of pages that are made from the code: commands, settings of a spec, views, the list of decisions.

Cog puts them into `docs/`: `make pages` writes them, and a test compares them.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

Schema = Mapping[str, Any]

FAMILIES = ("method", "judge", "engine")
"""Settings that a spec chooses by name."""

LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def commands() -> str:
    """Return the help of every command as Markdown."""
    from typer import Context
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from xp.cli import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command, info_name="xp"), name="xp", title=" ")
    before, _, listed = text.partition("**Commands**:")  # the list cuts each sentence short
    return f"{before.lstrip('# ').strip()}\n\n{listed[listed.index('## ') :].strip()}\n"


def settings() -> str:
    """Return every setting of a spec, from its JSON Schema, as Markdown tables."""
    from xp.schema import schema_text

    schema = json.loads(schema_text())
    parts = {name: part for name, part in schema["$defs"].items() if "properties" in part}

    def place(part: Schema) -> tuple[int, str]:
        family, name = _named(part)
        return [*FAMILIES, None].index(family), name

    return "\n".join(
        [
            _section("The study", schema, parts),
            *(_section(_heading(p), p, parts) for p in sorted(parts.values(), key=place)),
        ]
    )


def views() -> str:
    """Return every view with its header and its columns as Markdown, folder by folder."""
    from warehouse.connect import connect

    with TemporaryDirectory() as folder:
        connection = connect(Path(folder) / "warehouse.duckdb")
        columns = dict(
            connection.sql(
                "select table_name, string_agg(format('`{}` {}', column_name, lower(data_type)), ', ' order"
                " by column_index) from duckdb_columns() group by table_name"
            ).fetchall()
        )
        connection.close()
    lines: list[str] = []
    for folder in sorted((ROOT / "warehouse" / "views").iterdir()):
        lines.append(f"## `{folder.name}`\n")
        lines.extend(
            f"### `{path.stem}`\n\n{_header(path)}\n\n{columns[path.stem]}\n"
            for path in sorted(folder.glob("*.sql"))
        )
    return "\n".join(lines)


def decisions() -> str:
    """Return a list of the dated pages, newest first, each with its title."""
    found = sorted((ROOT / "docs" / "decisions").glob("20*.md"), reverse=True)
    titles = [path.read_text("utf-8").splitlines()[0].removeprefix("# ") for path in found]
    entries = [f"- [{title}]({path.name})" for title, path in zip(titles, found, strict=True)]
    whole = {"break_long_words": False, "break_on_hyphens": False}
    return "".join(textwrap.fill(entry, 110, subsequent_indent="  ", **whole) + "\n" for entry in entries)


def _header(path: Path) -> str:
    """Return the comment that a view begins with."""
    match = re.match(r"(?:--.*\n)+", path.read_text("utf-8"))
    assert match, path
    return re.sub(r"^-- ?", "", match[0], flags=re.MULTILINE).strip()


def _named(part: Schema) -> tuple[str | None, str]:
    """Return the family and the name by which a spec chooses these settings, or no family and the title."""
    chosen = [
        (family, part["properties"][family]["const"])
        for family in FAMILIES
        if "const" in part["properties"].get(family, {})
    ]
    return chosen[0] if chosen else (None, part["title"])


def _heading(part: Schema) -> str:
    family, name = _named(part)
    return f"{family.capitalize()}: {name}" if family else name


def _section(heading: str, part: Schema, parts: Mapping[str, Schema]) -> str:
    required = part.get("required", ())
    rows = [
        f"| `{name}` | {_values(one, parts)} | {'required' if name in required else _default(one, parts)} |"
        f" {_cell(one.get('description', ''))} |"
        for name, one in part["properties"].items()
        if not one.get("readOnly")
    ]
    return "\n".join(
        [
            f"## {heading}",
            "",
            part.get("description", ""),
            "",
            "| setting | values | default | |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _default(one: Schema, parts: Mapping[str, Schema]) -> str:
    """Return the default as it is in JSON; of settings with a section of their own, those that are not the
    section's."""
    found = one.get("default")
    of = [parts[ref].get("properties", {}) for ref in _references(one)]
    if isinstance(found, dict) and of:
        found = {
            name: value for name, value in found.items() if value != of[0].get(name, {}).get("default")
        } or None
    return "" if found is None else _cell(f"`{json.dumps(found, ensure_ascii=False)}`")


def _references(one: Schema) -> list[str]:
    return [choice["$ref"].rpartition("/")[2] for choice in (one, *one.get("anyOf", ())) if "$ref" in choice]


def _values(one: Schema, parts: Mapping[str, Schema]) -> str:
    """Return which values a schema allows."""
    if "$ref" in one:
        part = parts[_references(one)[0]]
        anchor = re.sub(r"[^a-z0-9_ -]", "", _heading(part).lower()).replace(" ", "-")
        return f"[{_named(part)[1]}](#{anchor})"
    if "const" in one or "enum" in one:
        return ", ".join(
            f"`{v if isinstance(v, str) else json.dumps(v)}`" for v in one.get("enum", [one.get("const")])
        )
    if choices := one.get("anyOf", one.get("oneOf")):
        return ", ".join(
            dict.fromkeys(_values(choice, parts) for choice in choices if choice.get("type") != "null")
        )
    if "prefixItems" in one:
        return f"list of {', '.join(_values(item, parts) for item in one['prefixItems'])}"
    if one["type"] == "array":
        return f"list of {_values(one['items'], parts)}"
    if one["type"] == "object":
        (inner,) = one.get("patternProperties", {"": one.get("additionalProperties")}).values()
        return f"name: {_values(inner, parts)}"
    return one["type"] + "".join(f" {sign} {one[limit]}" for limit, sign in LIMITS.items() if limit in one)
