"""One side of a comparison in a process of its own: it prepares a training step, says so, and runs steps on request.

`python -m benchmarks.worker '{"side": "ours", ...}'` reads numbers of steps from standard input, one in each line, and
answers each with a line on standard output, the seconds that the steps took. Both sides do the same work in a step:
take a batch of images that are on the device as bytes, normalise, crop and flip it, forward, backward, SGD with
momentum and weight decay.
"""

import json
import os
import sys
import time
from collections.abc import Callable

from benchmarks.cases import SHALLOW, Case

STEPS_PER_CALL = 20  # on our side, on an accelerator


def main() -> None:
    asked = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer
    case = Case(**asked["case"])
    prepare = prepare_ours if asked["side"] == "ours" else prepare_torch
    run, unit, release = prepare(case, asked["threads"], asked["device"], asked.get("how"), asked.get("layout"))
    run(unit)  # compiles
    run(unit)
    release()
    print(json.dumps({"unit": unit}), file=answers, flush=True)
    for line in sys.stdin:
        run(unit)  # warms up, and allocates its memory again
        began = time.perf_counter()
        run(int(line))
        seconds = time.perf_counter() - began
        release()
        print(seconds, file=answers, flush=True)


def prepare_ours(case: Case, threads: int, device: str, *_) -> tuple[Callable[[int], None], int, Callable[[], None]]:
    """Prepare our side of a case.

    Returns a function that runs a number of steps and waits for them, what that number must be a multiple of, and a
    function that frees memory on the device for the other sides.
    """
    from ablations.training import environment

    os.environ["JAX_PLATFORMS"] = "cuda" if device == "cuda" else "cpu"
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the other side is on the same device
    config = case.config(threads, STEPS_PER_CALL)
    environment.prepare(config)
    import jax

    from ablations import randomness
    from ablations.costs import measure
    from ablations.training import feed
    from ablations.training.steps import Steps

    images = measure.synthetic(config)
    steps = Steps(config, images)
    call = steps.call_length
    batches = feed.gather(images, randomness.batches(0, 0, call, case.batch, case.batch))
    batches = jax.device_put(batches) if images.streamed else batches
    state = steps.init()

    def run(count: int) -> None:
        nonlocal state
        for _ in range(count // call):
            state, losses, _ = steps.start(state, batches)
        losses.block_until_ready()

    return run, call, lambda: None


def prepare_torch(case: Case, threads: int, device: str, how: str, layout: str):
    """Prepare PyTorch's side of a case; returns the same three as `prepare_ours`."""
    import torch
    import torch.nn.functional as F

    from ablations.costs import measure
    from ablations.data import catalogue
    from ablations.training import augmentation
    from benchmarks.networks import Network

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as in XLA; in cuDNN it is the default
    config = case.config(threads, STEPS_PER_CALL)
    images = measure.synthetic(config)
    mean, divisor = augmentation.statistics(images.train_images, config.recipe.normalization)
    target = torch.device(device)
    pixels, labels, mean, divisor = (
        torch.from_numpy(array).to(target)
        for array in (images.train_images, images.train_labels.astype("int64"), mean, divisor)
    )
    kind, pad, flip = catalogue.kind(config.data), config.data.pad, config.data.flip
    described = config.model.architecture(), config.activation, config.shortcut
    network = Network(*described, classes=kind.classes, image_channels=kind.image[2]).to(target)
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network = network.to(memory_format=memory)
    options = {"fused": True} if device == "cuda" else {}
    recipe = config.recipe
    sgd = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, 0, recipe.weight_decay, **options
    )
    height, width = kind.image[:2]
    rows, columns = torch.arange(height, device=target), torch.arange(width, device=target)

    def loss_of(batch, offsets, flips):
        x = (pixels[batch].float() / 255 - mean) / divisor
        x = F.pad(x, (0, 0, pad, pad, pad, pad))
        across = torch.where(flips[:, None], width - 1 - columns, columns) + offsets[:, 1:]
        x = x[
            torch.arange(len(batch), device=target)[:, None, None], (offsets[:, :1] + rows)[:, :, None], across[:, None]
        ]
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=memory)
        with torch.autocast(device, torch.bfloat16, enabled=case.precision == "bf16"):
            logits = network(x)
        return F.cross_entropy(logits.float(), labels[batch])

    if how == "compile" and case.layers <= SHALLOW[device]:
        loss_of = torch.compile(loss_of)
    elif how == "compile":
        torch._dynamo.config.recompile_limit = 64  # units have several shapes
        for part in network.units:
            part.compile()
    network.train()

    def run(count: int) -> None:
        for _ in range(count):
            batch = torch.randperm(case.batch, device=target)
            offsets = torch.randint(0, 2 * pad + 1, (case.batch, 2), device=target)
            flips = torch.rand(case.batch, device=target) < (0.5 if flip else 0)
            loss = loss_of(batch, offsets, flips)
            loss.backward()
            sgd.step()
            sgd.zero_grad(set_to_none=True)
        loss.item()  # waits

    return run, 1, torch.cuda.empty_cache if device == "cuda" else lambda: None


if __name__ == "__main__":
    main()
