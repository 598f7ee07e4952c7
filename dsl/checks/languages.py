"""Checks of the data sets' languages and pinned revisions."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.data.public_files import other_of_its_name, public_file
from dsl.data.rows import Rows
from dsl.data.sources import is_place
from dsl.methods import Icl


def language_faults(context: Context) -> Iterator[Fault]:
    """Check that data sets name languages of the study; warn of hub data sets without a revision."""
    e = context.experiment
    shown = (m.demonstrations_language for m in e.methods.values() if isinstance(m, Icl))
    languages = tuple(dict.fromkeys((*e.languages, *filter(None, shown))))
    for name, data in e.data.items():
        rows = data.rows if isinstance(data.rows, dict) else {}
        for language in rows:
            yield from unknown_name(
                ("data", name, "rows", language), language, languages, "language of the study"
            )
        for one in rows.values() if rows else (data.rows,):
            if isinstance(one, Rows) and one.hub and not is_place(one.hub) and one.revision is None:
                why = (
                    f"{one.hub} has no `revision`: the hub may serve other rows tomorrow, so this study is"
                    " not pinned"
                )
                yield Fault(("data", name, "rows"), why, "warning")
            if (
                isinstance(one, Rows)
                and one.url
                and one.sha256
                and not public_file(one.url, one.sha256).is_file()
            ):
                later = f"{one.url} is fetched when the study is applied, and its rows are checked then"
                yield Fault(("data", name, "rows"), f"{later}{other_of_its_name(one.url)}", "warning")
        for i, language in enumerate(data.languages or ()):
            yield from unknown_name(
                ("data", name, "languages", i), language, languages, "language of the study"
            )
