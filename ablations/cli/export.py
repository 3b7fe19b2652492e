"""`ablations export`: the weights of a finished run for other programs (see `training.weights`)."""

from pathlib import Path

from ablations.cli.arguments import key_values
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.system.files import write_whole

HELP = """\
ablations export run=RUNS_DIR/STUDY/ROW/seed=K out=FILE [like=FILE.pth]

Writes the weights of a finished run for other programs.

    ablations export run=runs/table1/identity/seed=0 out=weights.safetensors
    ablations export weights=resnet50.safetensors out=mine.pth like=resnet50.pth

With like=, the tensors get the names of that PyTorch file of the same network,
as torchvision loads them. Otherwise the file has one tensor for each layer of
each unit, with PyTorch's layouts (`stages.1.units.4.convolutions.0.weight`,
(out, in, k, k)). Its metadata has all settings and the epsilon of BN, as JSON
in the entry `ablations`. `normalization.mean` and `.divisor` make the input:
(pixels / 255 - mean) / divisor. The head of ablations/training/weights.py lists
all names.
"""


def command(arguments: list[str]) -> int:
    """Copy the weights of run=FOLDER to out=FILE."""
    settings = key_values(arguments, "export")
    unknown = sorted(set(settings) - {"run", "weights", "out", "like"})
    if unknown or "out" not in settings or ("run" in settings) == ("weights" in settings):
        raise UserError(
            "export needs run=RUNS_DIR/STUDY/ROW/seed=K or weights=FILE, and out=FILE; it takes only like=FILE.pth besides"
        )
    out = Path(settings["out"])
    source = RunFolder(Path(settings["run"])).finished()[1] if "run" in settings else Path(settings["weights"])
    try:
        if "like" in settings:
            from ablations.training import foreign

            foreign.named_as(source, Path(settings["like"]), out)
        else:
            from ablations.training import weights

            weights.configuration(source)
            write_whole(out, source.read_bytes())
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror}") from error
    print(f"wrote {out}: {out.stat().st_size:,} bytes")
    return 0
