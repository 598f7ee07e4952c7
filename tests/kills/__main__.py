"""`python -m tests.kills [--kills 300]` kills `xp apply` and its workers with SIGKILL at random moments, and
says what came of it; in every third round locks, saved plans, budgets and bundles, too.

In full, on 2026-11-30 on two cores: 75 rounds, 25 of them aimed at the warehouse's creation, 25 with locks,
plans, budgets and bundles; 304 kills met a command at work, and no round failed.

A round that was done is not done again: run it again with the same `--work` to go on. The exit code is 1 if a
round failed.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.kills.rounds import Round, Rounds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument(
        "--kills",
        type=int,
        default=300,
        help="that met a command at work; every third round's is aimed at the warehouse's creation",
    )
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="the longest that one apply of a round may take"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "xp-kills",
        help="where stores and results lie",
    )
    arguments = parser.parse_args()
    results = arguments.work / f"rounds-{arguments.seed}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    done = (
        [Round(**json.loads(line)) for line in results.read_text("utf-8").splitlines()]
        if results.exists()
        else []
    )
    with Rounds(arguments.work, arguments.seed, arguments.seconds) as rounds:
        while sum(one.n_kills for one in done) < arguments.kills:
            done.append(rounds.run(len(done)))
            with results.open("a", encoding="utf-8") as file:
                file.write(done[-1].as_json() + "\n")
            sys.stdout.write(done[-1].as_json() + "\n")
            sys.stdout.flush()
    n_aimed, n_kept = sum(one.is_aimed for one in done), sum(one.is_kept for one in done)
    n_kills, n_failed = sum(one.n_kills for one in done), sum(bool(one.faults) for one in done)
    sys.stdout.write(
        f"{len(done)} rounds, {n_aimed} aimed at the warehouse's creation, {n_kept} with locks, plans,"
        f" budgets and bundles: {n_kills} kills, {n_failed} rounds failed\n"
    )
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
