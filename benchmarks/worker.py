"""One side of a comparison in a process of its own: it prepares a training step, says so, and runs steps when asked.

`python -m benchmarks.worker '{"side": "ours", ...}'`; then for each line of standard input, a number of steps, one
line of standard output, the seconds that they took. Both sides do the same work in a step: take a batch out of
images that are on the device as bytes, normalise, crop and flip it, forward, backward, SGD with momentum and
weight decay.
"""

import json
import os
import sys
import time
from collections.abc import Callable

from benchmarks.cases import SHALLOW, Case

STEPS_A_CALL = 20  # of ours, on an accelerator


def main() -> None:
    asked = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    case = Case(**asked["case"])
    prepare = ours if asked["side"] == "ours" else torchs
    run, unit, release = prepare(case, asked["threads"], asked["device"], asked.get("how"), asked.get("layout"))
    run(unit)  # compiles
    run(unit)
    release()
    print(json.dumps({"unit": unit}), file=answers, flush=True)
    for line in sys.stdin:
        run(unit)  # warms up, and takes its memory back
        began = time.perf_counter()
        run(int(line))
        seconds = time.perf_counter() - began
        release()
        print(seconds, file=answers, flush=True)


def ours(case: Case, threads: int, device: str, *_) -> tuple[Callable[[int], None], int, Callable[[], None]]:
    """A function that runs so many steps and waits for them; what their number must be a multiple of; and one that
    gives memory back to the device, on which the other sides wait for their turn.
    """
    from ablations.training import environment

    os.environ["JAX_PLATFORMS"] = "cuda" if device == "cuda" else "cpu"
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the other side is on the same device
    config = case.config(threads, STEPS_A_CALL)
    environment.prepare(config)
    import jax

    from ablations import randomness
    from ablations.costs import measure
    from ablations.training import feed
    from ablations.training.programs import steps_per_call
    from ablations.training.steps import Steps

    images = measure.synthetic(config)
    steps = Steps(config, images)
    call = steps_per_call(config, 0, steps.devices.platform)
    batches = feed.gather(images, randomness.batches(0, 0, call, case.batch, case.batch))
    batches = jax.device_put(batches) if images.streamed else batches
    state = steps.init()

    def run(count: int) -> None:
        nonlocal state
        for _ in range(count // call):
            state, losses, _ = steps.start(state, batches)
        losses.block_until_ready()

    return run, call, lambda: None


def torchs(case: Case, threads: int, device: str, how: str, layout: str):
    """The same three for PyTorch."""
    import torch
    import torch.nn.functional as F

    from ablations.costs import measure
    from ablations.data import catalogue
    from ablations.training import augmentation
    from benchmarks.networks import ResNet

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as XLA does; cuDNN does by itself
    config = case.config(threads, STEPS_A_CALL)
    images = measure.synthetic(config)
    mean, divisor = augmentation.statistics(images.train_images, config.recipe.normalization)
    place = torch.device(device)
    pixels, labels, mean, divisor = (
        torch.from_numpy(array).to(place)
        for array in (images.train_images, images.train_labels.astype("int64"), mean, divisor)
    )
    kind, pad, flip = catalogue.kind(config.data), config.data.pad, config.data.flip
    network = ResNet(config.model, config.activation, classes=kind.classes, image_channels=kind.image[2]).to(place)
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network = network.to(memory_format=memory)
    options = {"fused": True} if device == "cuda" else {}
    recipe = config.recipe
    sgd = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, 0, recipe.weight_decay, **options
    )
    height, width = kind.image[:2]
    rows, columns = torch.arange(height, device=place), torch.arange(width, device=place)

    def loss_of(batch, offsets, flips):
        x = (pixels[batch].float() / 255 - mean) / divisor
        x = F.pad(x, (0, 0, pad, pad, pad, pad))
        across = torch.where(flips[:, None], width - 1 - columns, columns) + offsets[:, 1:]
        x = x[
            torch.arange(len(batch), device=place)[:, None, None], (offsets[:, :1] + rows)[:, :, None], across[:, None]
        ]
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=memory)
        with torch.autocast(device, torch.bfloat16, enabled=case.precision == "bf16"):
            logits = network(x)
        return F.cross_entropy(logits.float(), labels[batch])

    if how == "compile" and config.model.depth <= SHALLOW[device]:
        loss_of = torch.compile(loss_of)
    elif how == "compile":
        torch._dynamo.config.recompile_limit = 64  # a unit of each shape
        for part in network.units:
            part.compile()
    network.train()

    def run(count: int) -> None:
        for _ in range(count):
            batch = torch.randperm(case.batch, device=place)
            offsets = torch.randint(0, 2 * pad + 1, (case.batch, 2), device=place)
            flips = torch.rand(case.batch, device=place) < (0.5 if flip else 0)
            loss = loss_of(batch, offsets, flips)
            loss.backward()
            sgd.step()
            sgd.zero_grad(set_to_none=True)
        loss.item()  # waits

    return run, 1, torch.cuda.empty_cache if device == "cuda" else lambda: None


if __name__ == "__main__":
    main()
