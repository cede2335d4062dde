"""`cheapest` against the optimum, which the re-pricing engine works out afterwards from what is on record."""

from bench.strategies import optimum_femto, read_trace, run_strategy


def test_cheapest_is_within_a_hundredth_of_the_optimum() -> None:
    pairs, book = run_strategy("cheapest", read_trace(None, 120))
    cost = sum(done.total_femto or 0 for _, done in pairs)
    best = optimum_femto(pairs, book)
    assert best <= cost <= best * 1.01
    assert len({sent.provider for sent, _ in pairs}) > 1, "it is not always the same"
