"""The report of a study: its answer, the numbers and the models' words behind it, without a network.

One HTML file is the whole of it. For a paper there are its main tables as LaTeX and Markdown, and its charts
as pictures.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.data.written_files import written_aside
from dsl.errors import WarehouseError

if TYPE_CHECKING:
    from warehouse.report.study import StudyRows


def write_report(warehouse: Path, experiment: str, out: Path, note: str = "") -> Path:
    """Write the report of one study to `out`, as HTML, and return it.

    `note` is shown beside the study's own notes.

    Raises:
        WarehouseError: the warehouse cannot be read or does not hold the experiment, or a file cannot be
            written.
    """
    # templates, which a plan that asks what a study's judges are does not need
    from warehouse.report.page import as_html

    return _write(out, as_html(_read(warehouse, experiment, note)))


def write_paper(warehouse: Path, experiment: str, out: Path, note: str = "") -> tuple[Path, Path, Path]:
    """Write what a paper takes from the report of one study. `note` is to be said in its texts.

    Returns:
        The tables as LaTeX (`out`) and as Markdown (`.md` beside it), and the folder of the charts
        (`…-figures`), each as SVG and PDF.

    Raises:
        WarehouseError: as for `write_report`.
    """
    from warehouse.report.latex import as_latex
    from warehouse.report.markdown import as_markdown
    from warehouse.report.pictures import write_pictures

    study = _read(warehouse, experiment, note)
    latex = _write(out, as_latex(study, note))
    markdown = _write(out.with_suffix(".md"), as_markdown(study))
    figures = out.with_name(f"{out.stem}-figures")
    with _writing_errors(figures):
        write_pictures(study, figures)
    return latex, markdown, figures


def _read(warehouse: Path, experiment: str, note: str) -> "StudyRows":
    from warehouse.report.reading import read_study

    study = read_study(warehouse, experiment)
    return (
        replace(study, experiment={**study.experiment, "notes": [note, *study.experiment["notes"]]})
        if note
        else study
    )


def _write(out: Path, text: str) -> Path:
    with _writing_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(out) as aside:
            aside.write_text(text, "utf-8", newline="\n")
    return out


@contextmanager
def _writing_errors(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        named = str(error.filename)
        where = named if named.startswith(str(path)) else path  # a file in it, not a folder above it
        raise WarehouseError(f"{where}: {error.strerror or error}") from error
