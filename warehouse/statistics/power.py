"""What a design could detect. No numpy, no scipy: a plan is read in a blink."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import duckdb

from warehouse.query import fetch

ALPHA = 0.05
POWER = 0.8

FEWEST_CLUSTERS = 5
"""Below it an answer would rest on the far tail of Student's t."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How much the paired differences of one contrast vary from item to item, over models and what they were tuned on."""

    experiment: str
    contrast: str
    dataset: str
    language: str
    judge: str
    measure: str
    variance: float
    df: int
    """Degrees of freedom it rests on."""


def spreads(connection: duckdb.DuckDBPyConnection) -> list[Spread]:
    """The spread of every contrast that was measured; contrasts without any are left out."""
    found = fetch(
        connection,
        """
        with measured as (
            select
                experiment, contrast, dataset, language, judge, measure, model, of_train_languages, against_train_languages,
                var_samp(difference) as variance,
                count(difference) - 1 as df
            from paired_scores
            group by all
            having count(difference) > 1
        )
        select experiment, contrast, dataset, language, judge, measure, sum(df * variance) / sum(df) as variance, sum(df)::bigint as df
        from measured
        group by all
        having sum(df * variance) > 0
        order by all
        """,
    )
    return [Spread(**row) for row in found]


def judges_measured(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    """Study and name of a judge -> its settings as JSON, which may differ from cell to cell."""
    found = fetch(
        connection,
        """
        select distinct cells.experiment, cell_judges.judge, steps.settings -> '$.judges' ->> cell_judges.judge_key as settings
        from cells
        join cell_judges on cell_judges.cell_id = cells.cell_id and cell_judges.probe = ''
        join steps on steps.step_id = cell_judges.judge_step_id
        order by all
        """,
    )
    judges: dict[tuple[str, str], list[str]] = {}
    for row in found:
        judges.setdefault((row["experiment"], row["judge"]), []).append(row["settings"])
    return judges


def minimum_detectable_effect(deviation: float, n_clusters: int, n_tests: int = 1) -> float | None:
    """The smallest true mean difference that a two-sided test at 5% finds with a probability of 80%.

    (t_{1−α/2} + t_{0.8}) · s · √(1/n), quantiles with n − 1 degrees of freedom (Bloom 1995; Miller, arXiv 2411.00640, section 5).

    Args:
        deviation: standard deviation of the paired differences, one a cluster.
        n_clusters: clusters, here items that both methods answer.
        n_tests: α is divided by it: the first step of Holm's correction.

    Returns:
        In the score's unit; None below five clusters, and where so few that no result could be significant: the smallest p-value of a sign-flip
        test, 2 · ½ⁿ, is not below α.
    """
    if n_clusters < FEWEST_CLUSTERS or not could_be_significant(n_clusters, n_tests):
        return None
    df = n_clusters - 1
    return (t_quantile(1 - ALPHA / n_tests / 2, df) + t_quantile(POWER, df)) * deviation / sqrt(n_clusters)


def could_be_significant(n_clusters: int, n_tests: int = 1) -> bool:
    """Return whether differences of one sign on all clusters would pass a sign-flip test at the first step of Holm's correction."""
    return n_tests * 2 * 0.5**n_clusters < ALPHA


def t_quantile(probability: float, df: int) -> float:
    """Quantile of Student's t by its expansion in 1/df (Abramowitz & Stegun 26.7.5).

    Off by less than half a per cent from four degrees of freedom on, at probabilities of 0.8 to 0.9975.
    """
    z = NormalDist().inv_cdf(probability)
    return (
        z
        + (z**3 + z) / (4 * df)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * df**4)
    )
