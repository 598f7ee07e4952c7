"""Coverage of intervals and false claims in simulated studies, beside what they promise."""

from collections.abc import Iterator

from benchmarks._coverage import Scores, coverage, coverage_over_seeds, false_claims, levels, right_or_wrong
from benchmarks._people import JUDGES, SCALES, coverage_beside_people
from benchmarks._sequential import false_claims_with_looks, mean_items
from benchmarks.measured import Measured

ITEMS = (9, 16, 50, 400)
GRIDS: dict[str, Scores] = {"right/wrong": right_or_wrong, "1–5": levels}


def run() -> Iterator[Measured]:
    for name, scores in GRIDS.items():
        cells = [
            coverage(scores, n, mean, difference, 400 if n > 50 else 1000)
            for mean in (0.5, 0.8, 0.9, 0.95, 0.98)
            for difference in (0, -0.05, -0.3)
            for n in ITEMS
        ]
        for what, found in (
            ("paired differences", [cell[0] for cell in cells]),
            ("means", [cell[1] for cell in cells]),
        ):
            yield from _covered(f"{what} of {name} scores, {len(found)} cells", found)
    for n_seeds, holds_for in (
        ((3, 5), "over 3 and 5 seeds"),
        ((1,), "trained with one seed, for this one trained model"),
    ):
        for is_right_or_wrong in (True, False):
            seeds = [
                coverage_over_seeds(is_right_or_wrong, n, s, deviation, 2000)
                for n in ITEMS
                for s in n_seeds
                for deviation in (0, 0.05, 0.15, 0.3)
            ]
            kind = "right/wrong" if is_right_or_wrong else "normal"
            yield from _covered(
                f"contrasts of trained methods {holds_for}, {kind} scores, {len(seeds)} cells", seeds
            )
    for scale in SCALES:
        for judge in JUDGES:
            found = [
                coverage_beside_people(scale, judge, n, difference, 2000).corrected
                for n in (120, 500)
                for difference in (0, 0.1, 0.3)
            ]
            yield from _covered(
                f"corrected by 50 labels, {judge} judge, {scale}, {len(found)} cells", found, 0.93
            )
    for n_tests in (2, 18, 600):
        made = false_claims(n_tests, 50, 1000)
        yield Measured(
            f"studies with a false claim, {n_tests} tests, 1,000 studies",
            made,
            0.064,
            "the most",
            "of studies",
            1.0,
        )

    for n_places in (1, 6):
        for n_levels in (2, 5):
            made = false_claims_with_looks(n_places, 400, 20, 1000, n_levels)
            yield Measured(
                f"studies with a false claim, {n_places} stopping places, {n_levels} levels, 1,000 studies",
                made,
                0.064,
                "the most",
                "of studies",
                1.0,
            )
    for difference, of_fixed_sample in ((0.1, 306), (0.2, 71), (0.3, 28)):
        yield Measured(
            f"items until a difference of {difference} is found, a look after every 10",
            mean_items(difference, 10, 2000, 500),
            of_fixed_sample,
            "a fixed sample with 80% power",
            "items",
            None,
        )


def _covered(name: str, found: list[float], least: float = 0.91) -> Iterator[Measured]:
    found = [float(one) for one in found]
    mean = sum(found) / len(found)
    yield Measured(f"mean coverage: {name}", mean, 0.94, "the least", "of intervals", 1.0, is_least=True)
    yield Measured(
        f"least coverage: {name}", min(found), least, "the least", "of intervals", 1.0, is_least=True
    )
    yield Measured(f"greatest coverage: {name}", max(found), 0.95, "what is promised", "of intervals", None)


if __name__ == "__main__":
    for one in run():
        print(
            f"{one.name}: {one.ours:.3f} ({one.against}:"
            f" {one.baseline}{'' if one.met in (True, None) else '; missed'})"
        )
