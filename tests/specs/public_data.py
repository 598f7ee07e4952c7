"""Public data that shipped studies read: in the folder that XP_DATA names, or else beside the project."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("XP_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")

needed = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason="no public data: XP_DATA names no folder with the files of the shipped studies",
)
