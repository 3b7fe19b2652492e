"""Numbers for people: bytes, durations, rates. Tables of errors have their own formats."""


def scientific(number: float) -> str:
    """1.2e+16 as 1.2e16."""
    return f"{number:.1e}".replace("e+", "e").replace("e0", "e")


def millions(number: float | None) -> str:
    """A count, such as 23.4 M."""
    return "-" if number is None else f"{number / 1e6:,.1f} M"


def size(count: float | None) -> str:
    """Bytes, such as 1.3 GB."""
    if count is None:
        return "-"
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.{1 if count < 100 * factor else 0}f} {unit}"
    return f"{count / 1e3:,.0f} kB"


def rate(amount: float | None, unit: str) -> str:
    """FLOP/s and bytes/s, such as 31.4 GFLOP/s."""
    if amount is None:
        return "-"
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= factor:
            return f"{amount / factor:.3g} {prefix}{unit}"
    return f"{amount:.3g} {unit}"


def short(seconds: float | None) -> str:
    """Seconds of a step or a compilation: 11.5 ms, 4.3 s."""
    if seconds is None:
        return "-"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def duration(seconds: float | None) -> str:
    """Seconds of a run or a study, in a unit that suits their size."""
    if seconds is None:
        return "-"
    for unit, factor, until in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48), ("days", 86400, 730)):
        if seconds < until * factor:
            return f"{seconds / factor:.{1 if unit in ('h', 'days') and seconds < 10 * factor else 0}f} {unit}"
    return f"{seconds / (365.25 * 86400):,.0f} years"
