"""`ablations import`: PyTorch's weights as a weights file of ours."""

from pathlib import Path

from ablations.cli.arguments import key_values
from ablations.errors import UserError

HELP = """\
ablations import weights=FILE.pth model=NAME out=FILE.safetensors [KEY=VALUE]

Reads the weights of a PyTorch file, such as torchvision's, into a file that
`ablations eval` and `ab.load` take. Layers are matched by their order and
checked by their shapes, so files of other programs can be read, too, if their
networks are built in the order of the computation.

    ablations import weights=r50.pth model=resnet50 \\
        model.bottleneck_stride=3x3 out=r50.safetensors
    ablations import weights=vgg16_bn.pth model=vgg16_bn \\
        out=vgg16_bn.safetensors
    ablations eval weights=vgg16_bn.safetensors \\
        data=image_folder data.root=pictures

The network must have the shortcut that the model's own file chooses.
data=imagenet is the default: it says how many classes there are. Images are
standardised as torchvision's were. Needs PyTorch.
"""


def command(arguments: list[str]) -> int:
    """Write weights=FILE, of PyTorch, as out=FILE."""
    settings = key_values(arguments, "import")
    source, out = settings.pop("weights", ""), settings.pop("out", "")
    if not source or not out or "model" not in settings:
        raise UserError(
            "import needs weights=FILE.pth, model=NAME and out=FILE.safetensors; see ablations import --help"
        )
    from ablations.analysis.subject import before_training

    config = before_training(
        ["data=imagenet", *(word for word in arguments if word.partition("=")[0] in settings)]
    ).config
    from ablations.training import restore

    steps = restore.blank(config)
    from ablations.training import foreign

    try:
        foreign.convert(Path(source), Path(out), config, steps, steps.init(draw=False))
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror}") from error
    print(f"wrote {out}: {Path(out).stat().st_size:,} bytes, of {config.model.name}")
    return 0
