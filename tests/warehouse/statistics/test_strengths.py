"""Bradley–Terry strengths: the numbers of choix, statsmodels and by hand, intervals that cover, and methods
that never lose."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from warehouse.statistics.strengths import Comparison, Strength, strengths

TRUE = {"a": 0.8, "b": 0.1, "c": -0.2, "d": -0.7}


def drawn(random: np.random.Generator, n_items: int, true: dict[str, float] = TRUE) -> list[Comparison[str]]:
    """Every pair meets once an item."""
    return [
        Comparison(x, y, str(item), float(random.random() < 1 / (1 + np.exp(true[y] - true[x]))))
        for item in range(n_items)
        for x, y in combinations(true, 2)
    ]


def won(wins: int, of: int) -> list[Comparison[str]]:
    return [Comparison("a", "b", str(i), float(i < wins)) for i in range(of)]


def by_method(rows: list[Strength[str]]) -> dict[str, Strength[str]]:
    return {row.method: row for row in rows}


def value(row: Strength[str]) -> float:
    assert row.strength is not None
    return row.strength


def covers(row: Strength[str], true: float) -> bool:
    return (row.ci_low is None or row.ci_low <= true) and (row.ci_high is None or true <= row.ci_high)


@pytest.mark.parametrize(("wins", "of"), [(6, 8), (49, 50), (1, 200)])
def test_two_methods_stand_at_plus_and_minus_half_the_log_odds_of_their_wins(wins: int, of: int) -> None:
    found = by_method(strengths(won(wins, of)))
    half = np.log(wins / (of - wins)) / 2
    assert (value(found["a"]), value(found["b"])) == pytest.approx((half, -half))
    assert (found["a"].win_rate, found["a"].n, found["a"].n_items) == (pytest.approx(wins / of), of, of)


def test_a_tie_is_half_a_win_and_half_a_loss() -> None:
    ties = [Comparison("a", "b", str(i), 0.5) for i in range(4)]
    found = by_method(strengths([*ties, Comparison("a", "b", "w", 1.0), Comparison("b", "a", "l", 1.0)]))
    assert value(found["a"]) == pytest.approx(0)
    assert found["a"].win_rate == 0.5


@pytest.mark.parametrize("n_methods", [2, 3, 8])
def test_strengths_are_those_of_choix(n_methods: int) -> None:
    import choix

    random = np.random.default_rng(n_methods)
    true = {f"m{i}": strength for i, strength in enumerate(random.normal(size=n_methods))}
    comparisons = drawn(random, 40, true)
    outcomes = [
        tuple(int(name[1:]) for name in ((c.first, c.second) if c.won else (c.second, c.first)))
        for c in comparisons
    ]
    expected = choix.ilsr_pairwise(n_methods, outcomes)
    found = by_method(strengths(comparisons))
    assert [value(found[name]) for name in true] == pytest.approx(list(expected - expected.mean()), abs=1e-6)
    assert sum(value(row) for row in found.values()) == pytest.approx(0, abs=1e-12)


def test_strengths_and_errors_are_statsmodels_logistic_regression_with_items_as_clusters() -> None:
    import statsmodels.api as sm

    comparisons = drawn(np.random.default_rng(1), 50)
    names = sorted(TRUE)
    design = np.array(
        [[(c.first == name) - (c.second == name) for name in names[1:]] for c in comparisons], dtype=float
    )
    items = np.array([int(c.item) for c in comparisons])
    model = sm.GLM(np.array([c.won for c in comparisons]), design, family=sm.families.Binomial())
    expected = model.fit(
        cov_type="cluster", cov_kwds={"groups": items, "df_correction": False, "use_correction": False}
    )
    # from strengths against `a` to strengths against the mean
    centre = np.vstack([np.zeros(3), np.eye(3)]) - np.full((4, 3), 1 / 4)
    found = by_method(strengths(comparisons))
    assert [value(found[name]) for name in names] == pytest.approx(list(centre @ expected.params), abs=1e-6)
    errors = np.sqrt(np.diag(centre @ expected.cov_params() @ centre.T) * 50 / 49)
    assert [found[name].standard_error for name in names] == pytest.approx(list(errors), abs=1e-6)


def test_the_interval_of_two_methods_is_the_likelihood_ratio_s() -> None:
    (first, _) = strengths(won(49, 50))
    # the sandwich of one comparison an item is the model's own variance times 50 / 49
    limit = stats.t.ppf(0.975, 49) ** 2 * 50 / 49

    def excess(theta: float) -> float:
        p = 1 / (1 + np.exp(-2 * theta))
        return 2 * (49 * np.log(0.98 / p) + np.log(0.02 / (1 - p))) - limit

    assert first.ci_low == pytest.approx(optimize.brentq(excess, -5, 1.9), abs=1e-6)
    assert first.ci_high == pytest.approx(optimize.brentq(excess, 2, 9), abs=1e-6)


def test_an_item_asked_as_several_comparisons_counts_once() -> None:
    """Every outcome four times over is no more evidence: the item is the cluster."""
    once = drawn(np.random.default_rng(3), 30)
    found = by_method(strengths([c for c in once for _ in range(4)]))
    for row in strengths(once):
        assert found[row.method].standard_error == pytest.approx(row.standard_error)
        assert found[row.method].n == 4 * row.n
        low, high = found[row.method].ci_low, found[row.method].ci_high
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert low is not None
        assert high is not None
        # not below the model's own variance, where the sandwich's is less by chance
        assert 0.8 * (row.ci_high - row.ci_low) < high - low < 1.0001 * (row.ci_high - row.ci_low)


@pytest.mark.parametrize(
    ("p", "n_methods", "n_items"), [(0.5, 2, 50), (0.97, 2, 16), (0.97, 2, 50), (0.9, 4, 16), (0.97, 4, 50)]
)
def test_95_percent_intervals_cover_also_where_one_method_nearly_always_wins(
    p: float, n_methods: int, n_items: int
) -> None:
    """The first method beats each of the others, which are equal, with probability `p`."""
    random = np.random.default_rng(2)
    true = {"a": np.log(p / (1 - p)) * (n_methods - 1) / n_methods}
    true |= {f"b{i}": -true["a"] / (n_methods - 1) for i in range(n_methods - 1)}
    rounds = 800 // n_methods
    covered = [
        covers(row, true[row.method])
        for _ in range(rounds)
        for row in strengths(drawn(random, n_items, true))
    ]
    assert 0.92 <= np.mean(covered) <= 0.995


def test_intervals_cover_where_the_comparisons_of_one_item_agree() -> None:
    """Each item has its own shift of `a` that all its comparisons share; the mean win rate stays one half."""
    random = np.random.default_rng(4)
    covered: list[bool] = []
    for _ in range(200):
        comparisons = [
            Comparison("a", other, str(item), float(random.random() < (0.9 if is_high else 0.1)))
            for item, is_high in enumerate(random.random(40) < 0.5)
            for other in "bcd"
        ]
        covered += [covers(row, 0.0) for row in strengths(comparisons) if row.method == "a"]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_method_that_won_everything_has_an_interval_without_an_upper_end() -> None:
    comparisons = [Comparison("a", other, str(i), 1.0) for other in "bc" for i in range(5)]
    comparisons += [Comparison("b", "c", str(i), float(i < 3)) for i in range(5)]
    rows = by_method(strengths(comparisons))
    assert list(rows) == ["a", "b", "c"]
    assert all(row.is_regularised and row.standard_error is None for row in rows.values())
    assert all(np.isfinite(value(row)) for row in rows.values())
    assert rows["a"].ci_high is rows["b"].ci_low is rows["c"].ci_low is None
    assert rows["a"].ci_low is not None
    assert rows["a"].ci_low < value(rows["a"])
    assert rows["b"].ci_high is not None
    assert rows["b"].ci_high > value(rows["b"])
    assert rows["a"].win_rate == 1.0
    whole = strengths([*comparisons, Comparison("b", "a", "0", 1.0)])
    assert not any(row.is_regularised or row.ci_low is None or row.ci_high is None for row in whole)


def test_half_a_level_comparison_is_added_where_one_won_everything() -> None:
    """By hand: n wins and none become n + 1/4 and 1/4, whose log-odds is the difference of the two
    strengths."""
    for n in (1, 5, 20):
        a, b = strengths(won(n, n))
        assert value(a) - value(b) == pytest.approx(np.log((n + 0.25) / 0.25), abs=1e-5)


def test_the_finite_end_beside_an_infinite_one_is_the_likelihood_s() -> None:
    first, second = strengths(won(20, 20))
    # the likelihood is pᵏ with its upper bound 1
    p = np.exp(-(stats.t.ppf(0.975, 19) ** 2) / 40)
    assert first.ci_low == pytest.approx(np.log(p / (1 - p)) / 2, abs=1e-6)
    assert first.ci_high is None
    assert (second.ci_low, second.ci_high) == (None, pytest.approx(-(first.ci_low or 0)))


def test_a_method_between_one_that_always_wins_and_one_that_always_loses_has_no_finite_end() -> None:
    chain = [Comparison(x, y, str(i), 1.0) for x, y in ("ab", "bc") for i in range(6)]
    rows = by_method(strengths(chain))
    assert (rows["b"].ci_low, rows["b"].ci_high) == (None, None)
    assert value(rows["b"]) == pytest.approx(0)


def test_methods_that_never_met_directly_or_through_others_have_no_strength() -> None:
    rows = strengths([Comparison("a", "b", "1", 1.0), Comparison("c", "d", "1", 0.5)])
    assert all(row.strength is row.ci_low is row.ci_high is None for row in rows)
    assert {row.method: row.win_rate for row in rows} == {"a": 1.0, "b": 0.0, "c": 0.5, "d": 0.5}


def test_a_single_item_gives_strengths_without_an_error() -> None:
    (row, *_) = strengths([Comparison("a", "b", "1", 0.5)])
    assert row.strength == pytest.approx(0)
    assert row.standard_error is row.ci_low is row.ci_high is None


COMPARISONS = st.lists(
    st.builds(
        Comparison,
        st.sampled_from("abc"),
        st.sampled_from("def"),
        st.sampled_from("123"),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=15,
)


@given(COMPARISONS)
@settings(deadline=None, max_examples=50)
def test_telling_a_comparison_from_the_other_side_changes_nothing(comparisons: list[Comparison[str]]) -> None:
    turned = [Comparison(c.second, c.first, c.item, 1 - c.won) for c in comparisons]
    found = by_method(strengths(turned))
    for one in strengths(comparisons):
        other = found[one.method]
        assert one.win_rate == pytest.approx(other.win_rate)
        assert (one.n, one.n_items, one.is_regularised) == (other.n, other.n_items, other.is_regularised)
        for name in ("strength", "ci_low", "ci_high"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-5)


@given(COMPARISONS)
@settings(deadline=None, max_examples=100)
def test_a_strength_lies_in_its_interval(comparisons: list[Comparison[str]]) -> None:
    for row in strengths(comparisons):
        assert row.strength is None or covers(row, row.strength)
