"""A finished table and its figures, sent to Weights & Biases."""

import contextlib
import io
from pathlib import Path
from typing import Any

from ablations.config.logger import Logger, Wandb
from ablations.errors import UserError
from ablations.loggers.wandb import finish, place_of, run_id, start
from ablations.tables.table import Table


def publish(logger: Logger, table: Table, records: list[dict], runs_dir: Path, settings: dict[str, str]) -> str:
    """Send a table and its figures as one run of job type "table"; returns its address or folder.

    settings: those that selected the records. The same table from the same runs_dir is the same run.
    Raises UserError if there is no login, no network or no room on the disk.
    """
    if not isinstance(logger, Wandb):
        raise UserError(f"logger={logger.name}: a table goes to logger=wandb only")
    import wandb
    from PIL import Image

    from ablations.reports import figure
    from ablations.tables import cells, columns

    study = table.study
    options = {"id": run_id("table", study.name, settings), "name": f"{study.name} table", "group": study.name}
    options |= {"job_type": "table", "config": {"study": study.name} | settings}
    options["notes"] = "\n\n".join([cells.title(table), table.settings, *cells.notes(table)])
    media = {}
    for drawn in study.figures:
        with contextlib.suppress(UserError):  # too few runs for this figure
            media[f"figures/{drawn.name}"] = Image.open(io.BytesIO(figure.draw(drawn, study, records, "png")))
    try:
        (runs_dir / study.name).mkdir(exist_ok=True)
        run = start(vars(logger), runs_dir / study.name, resume=True, **options)
        shown = [i for i, name in enumerate(cells.HEADER) if name != "IoU" or i in cells.used(table)]
        rows: list[Any] = [[cells.cells(line, table)[i] for i in shown] for line in table.lines]
        media = {name: wandb.Image(image) for name, image in media.items()}
        tables = {"table": wandb.Table(columns=[cells.HEADER[i] for i in shown], data=rows)}
        if by_column := columns.of(table):
            heading: list[Any] = ["", *map(": ".join, by_column.shown())]
            tables["columns"] = wandb.Table(columns=heading, data=[list(texts) for texts in by_column.texts()])
        run.log(tables | media)
        where = place_of(run)
        finish(run, exit_code=0)
    except (wandb.Error, TimeoutError, OSError) as error:
        raise UserError(
            f"logger=wandb: {str(error).splitlines()[0]}; logger.mode=offline keeps it on this machine"
        ) from error
    return where
