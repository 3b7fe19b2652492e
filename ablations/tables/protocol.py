"""What stands around a table: what was trained on what, where that departs from the paper, which code and machine."""

import csv
import io
import re
from collections import Counter
from importlib import resources

import yaml

from ablations.config.study import Study
from ablations.data.config import DATASETS
from ablations.runs.record import short_commit


def paper_lines(table: str) -> dict[str, dict[str, str]]:
    """Row -> its line of `results/paper.csv`, or of `published.csv` for what other papers have published; `value` is a test
    error in percent, "fail" or "curve only".
    """
    texts = [(resources.files("ablations.results") / name).read_text() for name in ("paper.csv", "published.csv")]
    lines = [line for text in texts for line in csv.DictReader(io.StringIO(text))]
    return {line["row"]: line for line in lines if line["table"] == table}


def heading(records: list[dict]) -> str:
    """What was trained on what, and for how long."""
    if not records:
        return "no runs"
    models = sorted({_network(record["config"]["model"]) for record in records}, key=_naturally)
    data = {
        f"{record['config']['data']['name']} ({record['train_images']:,} training images"
        + (
            "; the errors are of the validation set, for choosing)"
            if record["config"]["data"]["split"] == "train_val"
            else ")"
        )
        for record in records
    }
    recipe, seeds = records[0]["config"]["recipe"], sorted({record["seed"] for record in records})
    batches = sorted({record["config"]["recipe"]["batch_size"] for record in records})
    return (
        f"{', '.join(models)} on {', '.join(sorted(data))}, recipe {recipe['name']}, {recipe['total_steps']:,} steps of "
        f"batch {' or '.join(map(str, batches))}, {'seed' if len(seeds) == 1 else 'seeds'} {_ranges(seeds)}"
    )


def _network(model: dict) -> str:
    """A network by its name, with its depth where another is in the name: resnet110 with 164 layers."""
    name, depth = model["name"], model.get("depth")
    in_name = re.findall(r"\d+", name)
    return f"{name} with {depth} layers" if depth and in_name and str(depth) not in in_name else name


def _naturally(name: str) -> list:
    """The key by which resnet20 comes before resnet110."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _ranges(seeds: list[int]) -> str:
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:  # they are sorted, and none is there twice
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def departures(study: Study, records: list[dict]) -> str:
    """Where data, networks, the number of training images and the recipe depart from the paper's, except in the settings
    that define a row; "" if nowhere.
    """
    if any(DATASETS[record["config"]["data"]["name"]].task == "segmentation" for record in records):
        return ""  # the paper has nothing about it to depart from
    rows = {row.name: row.settings for row in study.rows}
    paper, differences = paper_protocol(paper_data(study.paper_table)), {}
    for record in records:
        recipe, own = record["config"]["recipe"], rows.get(study.row_of(record["row"]), {})
        for key, value in paper.items():
            if _plain(recipe[key]) != _plain(value) and f"recipe.{key}" not in own:
                differences[key] = f"{key} {_plain(recipe[key])} (the paper: {_plain(value)})"
    if not records:
        return ""
    listed = ", ".join(differences[key] for key in paper if key in differences)
    recipe = (
        f"Recipe {records[0]['config']['recipe']['name']} departs from the paper's protocol in {listed}."
        if differences
        else ""
    )
    data = sorted({record["config"]["data"]["name"] for record in records} - paper_data(study.paper_table))
    trained = ", ".join(part for part in (_other_networks(study, records), _fewer_images(records)) if part)
    parts = (_not_the_papers(data), f"Trained {trained}." if trained else "", recipe)
    return " ".join(part for part in parts if part)


def _other_networks(study: Study, records: list[dict]) -> str:
    """The networks that are not those of the study's rows, which the paper's figures are of."""
    rows, common = {row.name: row.settings for row in study.rows}, dict(text.split("=", 1) for text in study.common)
    texts = []
    for record in records:
        name = study.row_of(record["row"])
        settings = common | rows.get(name, {})
        if name in rows and "model" in settings:
            wanted = _network({"name": settings["model"], "depth": settings.get("model.depth")})
            ours = _network(record["config"]["model"])
            texts += [f"{ours} in place of {wanted}"] if ours != wanted else []
    texts = sorted(set(texts), key=_naturally)
    return " and ".join(texts)


def _fewer_images(records: list[dict]) -> str:
    """The data sets of which only a part was trained on (data.train_images)."""
    texts = {}
    for record in records:
        data = record["config"]["data"]
        total = DATASETS[data["name"]].train  # 0: of the user's own folder, unknown here
        if data.get("train_images") is not None and not 0 < total <= data["train_images"]:
            whole = f"the {total:,} training images" if total else "the training images"
            texts[f"{record['train_images']:,} of {whole} of {data['name']}"] = None
    return f"on only {' and '.join(texts)}" if texts else ""


def paper_data(paper_table: str) -> set[str]:
    """The data sets of one of the paper's tables."""
    return {line["dataset"] for line in paper_lines(paper_table).values()}


# What a data set that stands in for the paper's cannot show.
CANNOT_SHOW = {
    "digits": "The digits cannot show what takes tens of thousands of steps or natural images, so a row that only loses some "
    "accuracy in the paper may fail here. Nor can they show a difference below 0.28 points, which is one of 360 test images."
}


def _not_the_papers(data: list[str]) -> str:
    if not data:
        return ""
    texts = [f"Trained on {' and '.join(data)}, which is not the paper's data: compare the order, not the figures."]
    return " ".join([*texts, *(CANNOT_SHOW[name] for name in data if name in CANNOT_SHOW)])


def paper_protocol(data: set[str]) -> dict:
    """What the paper says about training on these data sets: conf/recipe/ without the settings that the paper leaves open."""
    name, images_on_a_gpu = ("imagenet", 32) if data == {"imagenet"} else ("paper", 64)
    stated = yaml.safe_load((resources.files("ablations.conf") / "recipe" / f"{name}.yaml").read_text())
    ours = {"defaults", "name", "evaluate_every", "nesterov", "weight_decay_on", "bn_momentum", "bn_statistics"}
    ours |= {"normalization"} if name == "imagenet" else set()
    return {key: value for key, value in stated.items() if key not in ours} | {"bn_group": images_on_a_gpu}


def _plain(value) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return "/".join(map(_plain, value))
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value)


def provenance(records: list[dict]) -> str:
    """Machine, versions and commit; each with its number of runs if they differ."""
    parts = {
        "device": Counter(record["device"] for record in records),
        "commit": Counter(short_commit(record) for record in records),
        "jax": Counter(record["versions"]["jax"] for record in records),
    }
    return "; ".join(
        f"{name} "
        + ", ".join(
            f"{value} ({n} {'run' if n == 1 else 'runs'})" if len(counts) > 1 else value
            for value, n in sorted(counts.items())
        )
        for name, counts in parts.items()
        if counts
    )
