"""Images a second of our loader and of torch's DataLoader with PIL: `python -m benchmarks.loader`.

Both read the same JPEG files, which are made on the spot, and both produce a batch of floats, scaled at random,
cropped, flipped, with random colours, normalised. Torch's workers do all of it, as in its examples; ours only crop, and
a compiled program does the rest on the same cores, with the training step's own functions. They run in turn, round
after round, reversing the order each time; each ratio is taken within a round.
"""

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from ablations.data import catalogue, crops, loader, moments
from ablations.data.config import DataConfig
from ablations.data.crops import Random
from ablations.runs.provenance import commit, versions
from ablations.system.machine import processor
from ablations.terminal import grid
from ablations.training import augmentation
from ablations.training.colour import JITTER, LIGHTING_STD

WIDTH, HEIGHT = 500, 375  # the size of most images in ImageNet
KINDS = {"paper": ("shorter_side", "lighting"), "torch": ("area_aspect", "jitter")}
WARM = 8  # batches that are not timed: made while a program was compiled or processes started
BILINEAR = Image.Resampling.BILINEAR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help="files")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=16, help="timed batches of each side in a round")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    os.environ.setdefault("NPROC", "1")  # threads of XLA, as under `ablations train`
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), settings.images)
        for kind in KINDS:
            rows.append(compare(kind, Path(folder), settings))
    import torch

    about = f"{processor()}, {settings.workers} workers each, batches of {settings.batch}"
    title = f"Loading, images a second: {about}; torch {torch.__version__}, jax {versions()['jax']}, "
    title += f"pillow {Image.__version__}, commit {commit()[:12]}"
    print(
        grid.markdown(
            title, rows, ["Ratios: the median over the rounds, with the smallest and the largest in brackets."]
        ),
        end="",
    )


def make_images(root: Path, images: int) -> None:
    """Write root/{train,val}/{a,b}/*.jpg: shapes and grain, about 110 kB each, like the images of ImageNet."""
    random = np.random.default_rng(0)
    for i in range(images + 2):
        folder = root / ("train" if i < images else "val") / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shapes = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        grain = random.normal(0, 14, (HEIGHT, WIDTH, 1))
        Image.fromarray(np.clip(shapes + grain, 0, 255).astype(np.uint8)).save(folder / f"{i}.jpg", quality=90)


def compare(kind: str, root: Path, settings) -> dict[str, str]:
    """One row of the table: all sides, measured in turn."""
    scale, colours = KINDS[kind]
    dataset = catalogue.load(
        DataConfig("image_folder", root=str(root), crop=224, scale=scale, colour=colours, test_crops=[224])
    )
    known = moments.measure(dataset.train_images, settings.workers)
    sides = {
        "ours": lambda: our_batches(dataset, scale, colours, known, settings),
        "crops": lambda: our_crops(dataset, scale, settings),
        "torch": lambda: torch_batches(dataset, scale, colours, known, settings),
    }
    speeds = {name: [] for name in sides}
    for turn in range(settings.rounds):
        for name in list(sides)[:: -1 if turn % 2 else 1]:
            speeds[name].append(speed(sides[name](), settings))
    ratios = {name: [a / b for a, b in zip(speeds[name], speeds["torch"], strict=True)] for name in ("ours", "crops")}
    size = statistics.mean(Path(dataset.train_images.name(i)).stat().st_size for i in range(len(dataset.train_images)))
    return {
        "augmentation": f"{kind}: {scale}, {colours}; {WIDTH}x{HEIGHT}, {size / 1e3:.0f} kB",
        "PyTorch": f"{statistics.median(speeds['torch']):,.0f}",
        "ours": f"{statistics.median(speeds['ours']):,.0f}",
        "ours / PyTorch": _spread(ratios["ours"]),
        "ours, crops alone": f"{statistics.median(speeds['crops']):,.0f}",
        "crops / PyTorch": _spread(ratios["crops"]),
        "rounds": str(settings.rounds),
    }


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} ... {max(ratios):.2f})"


def speed(batches: Iterator, settings) -> float:
    """Images a second, once the workers have started."""
    for _ in range(WARM):
        next(batches)
    began = time.perf_counter()
    for _ in range(settings.batches):
        next(batches)
    seconds = time.perf_counter() - began
    batches.close()
    return settings.batches * settings.batch / seconds


def our_crops(dataset, scale: str, settings) -> Iterator[np.ndarray]:
    """The batches of our workers: all that this processor has to do if the step runs on an accelerator."""
    crop, size = Random(224, scale), settings.batch
    batch = loader.Training(dataset.train_images, dataset.train_labels, crop, 0, size, range(size), False)
    with loader.reading(batch, range(10**6), settings.workers) as read:
        for crops_read in read:
            yield crops_read["images"]


def our_batches(dataset, scale: str, colours: str, known, settings) -> Iterator:
    import jax

    from ablations.training import colour

    mean, divisor = known.normalization("per_channel")
    components = colour.components(known.covariance)

    @jax.jit
    def rest(key, images):
        images = colour.augment(jax.random.fold_in(key, 1), images, colours, components)
        images = augmentation.normalise(images, mean, divisor)
        return augmentation.augment(images, *augmentation.draw(key, len(images), 0, True), 0)

    jax.block_until_ready(rest(jax.random.key(0), np.zeros((settings.batch, 224, 224, 3), np.uint8)))
    batches = our_crops(dataset, scale, settings)
    try:
        for step, images in enumerate(batches):
            yield jax.block_until_ready(rest(jax.random.key(step), images))
    finally:
        batches.close()


class Files:
    """Torch's side: a map-style data set that loads each image by itself, with PIL and torch as in torch's examples."""

    def __init__(self, paths, scale: str, colours: str, known):
        self.paths, self.scale, self.colours = paths, scale, colours
        self.mean, self.divisor = (part.reshape(3, 1, 1) for part in known.normalization("per_channel"))
        values, vectors = np.linalg.eigh(known.covariance)
        self.components = (vectors * values).T.astype(np.float32)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        import torch

        random = np.random.default_rng([i, torch.initial_seed()])
        with open(self.paths[i], "rb") as file:
            image = Image.open(file).convert("RGB")
        image = (self._shorter_side if self.scale == "shorter_side" else self._area_aspect)(image, random)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.colours == "jitter":
            for kind in random.permutation([ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color]):
                image = kind(image).enhance(random.uniform(1 - JITTER, 1 + JITTER))
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        lit = (LIGHTING_STD * random.normal(size=3)).astype(np.float32) @ self.components
        x = x + torch.from_numpy(lit).view(3, 1, 1)
        return x.sub_(torch.from_numpy(self.mean)).div_(torch.from_numpy(self.divisor)), i % 2

    def _shorter_side(self, image, random):
        least, most = (round(ratio * 224) for ratio in crops.SHORTER_SIDE)
        image = image.resize(crops.scaled(*image.size, int(random.integers(least, most + 1))), BILINEAR)
        left, top = (int(random.integers(0, side - 223)) for side in image.size)
        return image.crop((left, top, left + 224, top + 224))

    def _area_aspect(self, image, random):
        box = Random(224, "area_aspect").box(*image.size, random)
        return image.crop(tuple(math.floor(edge) for edge in box)).resize((224, 224), BILINEAR)


def torch_batches(dataset, scale: str, colours: str, known, settings) -> Iterator:
    import torch

    paths = [dataset.train_images.name(i) for i in range(len(dataset.train_images))]
    files = torch.utils.data.ConcatDataset([Files(paths, scale, colours, known)] * 100)  # one epoch is a round
    options = {"batch_size": settings.batch, "shuffle": True, "num_workers": settings.workers, "drop_last": True}
    yield from iter(torch.utils.data.DataLoader(files, **options))


if __name__ == "__main__":
    main()
