"""What float32 means in a table: on which platforms its runs were computed, and how exact their products are there."""

from ablations.runs.record import platform

PLATFORMS = {"gpu": "a GPU", "tpu": "a TPU"}

# What becomes of a product of two float32 numbers: jax.lax.Precision, jax 0.10. A CPU has float32 in any case.
PRODUCTS = {
    ("gpu", "default"): "TF32, with 10 bits after the point, if it has that",
    ("gpu", "high"): "TF32, with 10 bits after the point, if it has that",
    ("gpu", "highest"): "float32",
    ("tpu", "default"): "one pass of bf16, with 7 bits after the point",
    ("tpu", "high"): "three passes of bf16",
    ("tpu", "highest"): "six passes of bf16, as exact as float32",
}


def note(runs: dict[str, list[dict]], baselines: dict[str, str]) -> str:
    """The note below a table; "" if all runs were computed on a CPU, where f32 is float32.

    runs: the records of each row. baselines: the row that a row is compared with.
    """
    records = [record for done in runs.values() for record in done]
    kinds = {
        (platform(record), record["config"]["precision"], record["config"]["matmul_precision"]) for record in records
    }
    sentences = [_products(*kind) for kind in sorted(kinds) if kind[0] != "cpu"]
    return " ".join([*dict.fromkeys(sentences), *mixed(runs, baselines)])


def _products(where: str, precision: str, matmul_precision: str) -> str:
    device = PLATFORMS.get(where, where)
    if precision != "f32":
        return f"On {device}, convolutions multiply {precision} numbers (precision={precision})."
    how = PRODUCTS.get((where, matmul_precision), "what its compiler chooses")
    only = "" if matmul_precision == "highest" else "; only matmul_precision=highest gives float32"
    return f"On {device}, f32 means that a product of two numbers is {how} (matmul_precision={matmul_precision}){only}."


def mixed(runs: dict[str, list[dict]], baselines: dict[str, str]) -> list[str]:
    """The sentences that say which rows were computed on which of several platforms; none if there is one platform."""
    rows = {}  # by the platforms of a row's runs
    for name, done in runs.items():
        if done:
            rows.setdefault(tuple(sorted({platform(record) for record in done})), []).append(name)
    if len({where for platforms in rows for where in platforms}) < 2:
        return []
    listed = [
        f"{' and '.join(platforms)} in {', '.join(names)}{', whose figures mix them' if len(platforms) > 1 else ''}"
        for platforms, names in sorted(rows.items())
    ]
    sentences = [f"Runs of several platforms, whose arithmetic differs, stand side by side: {'; '.join(listed)}."]
    across = [name for name, done in runs.items() if _differ(done, runs.get(baselines.get(name, ""), []))]
    if across:
        sentences.append(f"A difference from the baseline is one between platforms, too, in {', '.join(across)}.")
    return sentences


def _differ(first: list[dict], second: list[dict]) -> bool:
    """Whether two rows have runs with the same seed on different platforms."""
    by_seed = {record["seed"]: platform(record) for record in second}
    return any(by_seed.get(record["seed"], platform(record)) != platform(record) for record in first)
