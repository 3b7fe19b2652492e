"""Figures of segmentation: test images, their masks, and what runs predict, from the examples that a run leaves behind."""

import textwrap
import zipfile

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ablations.data.config import IGNORED
from ablations.errors import UserError
from ablations.reports import style
from ablations.runs.folder import RunFolder

INCHES = 0.95  # of an image
WRONG, NO_CLASS = "#d1603d", "#8f7cc9"
CAPTION = (
    "The first test images, their masks, and what the run with the lowest seed of each row predicts, with its IoU. "
    "Orange: predicted wrongly; violet: of no class."
)


def of_run(record: dict, form: str) -> bytes:
    """The figure of one run. Raises UserError if it has no examples."""
    title = f"What {record['folder']} predicts"
    return draw({"prediction": [record]}, form, title=title, caption="", description=record["command"])


def draw(runs: dict[str, list[dict]], form: str, *, title: str, caption: str, description: str) -> bytes:
    """A column for images, one for masks, and one for each row that has runs; a line for each image."""
    shown = {row: min(its_runs, key=lambda record: record["seed"]) for row, its_runs in runs.items() if its_runs}
    examples = {row: _examples(record["folder"]) for row, record in shown.items()}
    first = next(iter(examples.values()))
    columns = {"image": [_image(image) for image in first["images"]], "mask": [_map(mask) for mask in first["masks"]]}
    for row, record in shown.items():
        theirs = examples[row]
        name = "\n".join([*textwrap.wrap(row.replace("_", " "), 14), f"{record['test_iou_percent']:.1f}"])
        columns[name] = [_map(*pair) for pair in zip(theirs["masks"], theirs["predictions"], strict=True)]
    lines = textwrap.wrap(caption, int(INCHES * len(columns) * 21))
    heading = max(name.count("\n") + 1 for name in columns)
    with style.applied():
        height = INCHES * len(first["images"]) + style.LINE_INCHES * (heading + len(lines))
        figure = Figure(figsize=(INCHES * len(columns), height), layout="constrained")
        axes = figure.subplots(len(first["images"]), len(columns), squeeze=False)
        for column, (name, pictures) in enumerate(columns.items()):
            axes[0, column].set_title(name, fontsize=7, fontweight="normal", loc="center")
            for line, picture in enumerate(pictures):
                axes[line, column].imshow(picture, interpolation="nearest")
                axes[line, column].set_axis_off()
        if lines:
            figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=6.5)
        return style.render(figure, form, title=title, description=description)


def _examples(folder: RunFolder) -> dict[str, np.ndarray]:
    try:
        with np.load(folder.examples_file) as file:
            return {name: file[name] for name in ("images", "masks", "predictions")}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{folder.examples_file}: cannot be read: only runs of segmentation have it; force=true trains one again"
        ) from error


def _image(image: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 -> (H, W, 3), grey if it has one channel."""
    return np.broadcast_to(image, (*image.shape[:2], 3)) if image.shape[-1] == 1 else image[..., :3]


def _map(mask: np.ndarray, prediction: np.ndarray | None = None) -> np.ndarray:
    """A mask (H, W) in greys, class 0 the lightest, or a prediction, in which wrong pixels have a colour; (H, W, 3)."""
    shown = mask if prediction is None else prediction
    classes = max(int(np.where(mask == IGNORED, 0, mask).max()), 1)
    grey = 0.93 - 0.8 * np.minimum(shown, classes)[..., None] / classes
    colours = np.repeat(grey, 3, -1)
    if prediction is not None:
        colours[prediction != mask] = to_rgb(WRONG)
    colours[mask == IGNORED] = to_rgb(NO_CLASS)
    return colours
