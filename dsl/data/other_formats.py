"""Files that people have their rows in and that are not read here: which program makes rows of them."""

from pathlib import Path

from dsl.data.formats import COMPRESSED

_SPREADSHEET = "is a spreadsheet. Export its sheet as CSV (UTF-8) or Parquet"
_ARCHIVE = "is an archive of files. Unpack it and name the file in it"
_COMPRESSED = (
    f"is compressed in a way that is not read. Unpack it, or compress it as {' or '.join(COMPRESSED)}"
)
_DATABASE = "is a database. Export the table as CSV or Parquet"
_DOCUMENT = "is a document for people. Put its rows into a CSV, JSONL or Parquet file"
_OF_A_PROGRAM = "is a program's own format. Save the table as CSV or Parquet there"

_ENDINGS = {
    ".xlsx .xls .xlsm .xlsb .ods .numbers": _SPREADSHEET,
    ".docx .doc .odt .rtf .pdf .pptx .ppt .html .htm .md": _DOCUMENT,
    ".zip .tar .tgz .7z .rar": _ARCHIVE,
    ".bz2 .xz .lz4 .br": _COMPRESSED,
    ".db .sqlite .sqlite3 .duckdb .mdb .sql": _DATABASE,
    ".pkl .pickle .npy .npz .h5 .hdf5 .rds .rdata .dta .sav .mat .avro .orc .feather": _OF_A_PROGRAM,
}
_ADVICE = {ending: advice for endings, advice in _ENDINGS.items() for ending in endings.split()}


def advice_on(path: str) -> str | None:
    """Return what is wrong with a file of this name as a source of rows, and what to do; None if nothing
    is known."""
    if "${" in path:
        return "holds `${…}`, which is not filled in here. Write the path itself"
    name = Path(path.lower())
    return _ADVICE.get((name.with_suffix("") if name.suffix in COMPRESSED else name).suffix)
