"""How certain a figure is: intervals at 95 %, tests, and the differences that a number of seeds can resolve.

SciPy is imported where it is used, since a table without runs does not need it.
"""

import statistics
from collections.abc import Sequence

LEVEL = 0.95
POWER = 0.8


def proportion(count: int, total: int) -> tuple[float, float]:
    """Exact interval, in percent, of the probability behind `count` of `total` (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    low = betaincinv(count, total - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - tail) if count < total else 1.0
    return 100 * float(low), 100 * float(high)


def binomial(error_percent: float, images: int) -> tuple[float, float]:
    """Exact interval of one run's error, in percent, over test images.

    It says how far other test images would move the error; it leaves out the spread over seeds.
    """
    return proportion(round(error_percent * images / 100), images)


def student(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean of at least two values, one for each seed (Student 1908).

    Seeds are the design's only random factor: the data set and its split are fixed. For normal values it contains the
    true mean in 95 % of cases, however few seeds there are. Of differences between two rows over equal seeds, it is
    the interval of the paired t-test.
    """
    from scipy.special import stdtrit

    n = len(values)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * statistics.stdev(values) / n**0.5
    mean = statistics.mean(values)
    return mean - half, mean + half


def p_value(differences: Sequence[float]) -> float:
    """Of the two-sided paired t-test of at least two differences: whether their mean is 0.

    1 if they are all equal, as few errors on few images may be: a spread that was not seen is unknown, not 0.
    """
    from scipy.special import stdtr

    mean, spread, n = statistics.mean(differences), statistics.stdev(differences), len(differences)
    if not spread:
        return 1.0
    return 2 * float(stdtr(n - 1, -abs(mean) / (spread / n**0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979): rejecting those up to 0.05 is wrong anywhere in at most
    5 % of tables.
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def welch_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Of Welch's two-sided t-test (1947): whether two samples, each of at least two values, have the same mean.

    1 if neither spreads, as in `p_value`.
    """
    from scipy.special import stdtr

    parts = [statistics.variance(values) / len(values) for values in (first, second)]
    if not sum(parts):
        return 1.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)
    )
    return 2 * float(stdtr(freedom, -abs(statistics.mean(first) - statistics.mean(second)) / sum(parts) ** 0.5))


def resolvable(std: float, n: int, tests: int = 1) -> float:
    """The smallest difference of means, in the unit of `std`, that n seeds a row, at least two, detect with a power of 0.8.

    With the two-sided paired t-test by which rows are compared, at 5 % divided by the number of tests: Holm's first
    step, which is the strictest, so that the power is that of a table with a single difference. Both rows have the
    standard deviation `std`, and their errors do not rise and fall together over the seeds.
    """
    from scipy.special import nctdtrinc, stdtrit

    freedom = n - 1
    shift = nctdtrinc(freedom, 1 - POWER, stdtrit(freedom, 1 - (1 - LEVEL) / tests / 2))
    return float(shift) * std * (2 / n) ** 0.5
