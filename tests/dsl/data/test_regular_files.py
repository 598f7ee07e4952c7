"""Files that a stranger's spec may name: only regular ones are read, and no error shows what stands in
them."""

import os
from pathlib import Path

import pytest

from dsl.data.examples import Reader, examples
from dsl.data.files import read_file
from dsl.data.fingerprints import Fingerprints
from dsl.data.prompt_text import PromptTemplate, parse_prompt_text
from dsl.data.regular_files import read_regular
from dsl.data.source import Columns, FileSource, Part
from dsl.data.yaml_values import read_value
from dsl.errors import DataError
from dsl.judges._rubric import Rubric

SECRETS = [
    "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n",
    "TOPSECRET-line-one: hunter2\nTOPSECRET-line-two: x: y\n",
    "PASSWORD=hunter2\nTOKEN=abcdefgh\n",
    "hunter2\n",
    "- hunter2\n- *abcdefgh\n",
    "{hunter2: 1, abcdefgh: [}\n",
    "hunter2,abcdefgh:x,hunter2\n1,2,3\n",
    '{"hunter2": "abcdefgh"}\n',
]
SHOWN = ("root:", "daemon", "hunter2", "abcdefgh", "TOPSECRET")


def source(path: Path, form: str, *, header: bool = True) -> FileSource:
    return FileSource.model_validate(
        {"path": str(path), "sha256": "0" * 64, "format": form, "header": header}
    )


@pytest.mark.parametrize("secret", SECRETS)
def test_no_error_shows_a_line_of_a_file_that_is_something_else(secret: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(secret, "utf-8")
    told: list[str] = []
    pattern = Part(column=0, pattern="no such text")
    attempts = [
        lambda: parse_prompt_text(secret, path),
        lambda: read_value(path, Rubric, "a rubric"),
        lambda: read_value(path, PromptTemplate, "a prompt text"),
        *(
            lambda form=form: list(
                examples(read_file(source(path, form)), Reader(Columns(instruction="q"), "en", None, "f"))
            )
            for form in ("json", "jsonl", "csv", "tsv")
        ),
        *(
            lambda columns=columns: list(
                examples(read_file(source(path, "tsv", header=False)), Reader(columns, "en", None, "f"))
            )
            for columns in (Columns(instruction=7), Columns(instruction=pattern), Columns(instruction="0.a"))
        ),
    ]
    for attempt in attempts:
        try:
            attempt()
        except DataError as error:
            told.append(str(error))
    assert len(told) >= 5
    assert not [word for word in SHOWN if any(word in one for one in told)]


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/dev/zero", "/dev/stdin", "/sys/kernel/notes", "/proc", "/", "/nowhere"]
)
def test_what_is_no_regular_file_is_not_read(path: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    for one in (Path(path), link):
        for read in (read_regular, Fingerprints().file):
            with pytest.raises(DataError, match=r"a file is needed|No such file"):
                read(one)


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file; a file is needed"):
        read_regular(tmp_path / "pipe")


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text", "utf-8")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link") == b"text"
