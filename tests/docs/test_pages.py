"""Pages of `docs/` that are made from the code, and what is said of the project elsewhere in them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_pages_made_from_the_code_are_up_to_date() -> None:
    pages = [str(page) for page in sorted((ROOT / "docs").glob("*.md")) if "[[[cog" in page.read_text("utf-8")]
    assert len(pages) == 3
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", *pages]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True)
    assert done.returncode == 0, f"python -m cogapp -r docs/cli.md docs/spec.md docs/views.md\n{done.stdout}{done.stderr}"
