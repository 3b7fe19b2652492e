"""`ablations export`: the weights of a finished run for other programs (see `weights`)."""

import shutil
from pathlib import Path

from ablations.errors import UserError
from ablations.runs.folder import RunFolder

HELP = """\
ablations export run=RUNS_DIR/STUDY/ROW/seed=K out=weights.safetensors

Writes the weights of a finished run for other programs: one tensor a layer of one unit, with PyTorch's
names and layouts (`stages.1.units.4.convolutions.0.weight`, (out, in, k, k)). The file's metadata hold, as JSON
in the entry `ablations`, all settings and the epsilon of BN; `normalization.mean` and `.divisor` make the input:
(pixels / 255 - mean) / divisor. The head of ablations/weights.py lists all names.
"""


def command(arguments: list[str]) -> int:
    """Copy the weights of run=FOLDER to out=FILE."""
    settings = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    unknown = sorted(set(settings) - {"run", "out"})
    if unknown or not all(settings.get(key) for key in ("run", "out")):
        raise UserError("export needs run=RUNS_DIR/STUDY/ROW/seed=K and out=FILE, and nothing else")
    folder, out = RunFolder(Path(settings["run"])), Path(settings["out"])
    _, source = folder.finished()
    try:
        shutil.copyfile(source, out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror}") from error
    print(f"wrote {out}: {out.stat().st_size:,} bytes")
    return 0
