"""A study's workspace at Weights & Biases, as code."""

import hashlib
from typing import Literal

from ablations.config.logger import Wandb
from ablations.config.study import Study

LOGGER = ("logger.mode", "logger.project", "logger.entity")
MOST_ROWS = 100  # W&B shows ten lines by default


def workspace(study: Study, logger: Wandb):
    """Test error and losses against steps, a line for each row: the mean over seeds and its spread."""
    import wandb_workspaces.reports.v2 as reports
    import wandb_workspaces.workspaces as workspaces
    from wandb_workspaces import expr

    def curves(metric: str, title: str, spread: Literal["minmax", "stddev"], *, log: bool = False):
        return reports.LinePlot(
            title=title, x="step", y=[metric], title_x="step", log_y=log or None, max_runs_to_show=MOST_ROWS,
            groupby="Group", groupby_aggfunc="mean", groupby_rangefunc=spread,
        )  # fmt: skip

    error = "test error (%), last evaluation: mean over seeds ± standard deviation"
    last = reports.BarPlot(
        title=error, metrics=["test_error_percent"], max_bars_to_show=MOST_ROWS,
        groupby="Group", groupby_aggfunc="mean", groupby_rangefunc="stddev",
    )  # fmt: skip
    sections = {
        "Test error": [
            last,
            curves("test_error_percent", "test error (%): mean over seeds ± standard deviation", "stddev"),
            curves("test_error_percent", "test error (%): mean over seeds, least to greatest", "minmax"),
        ],
        "Training": [
            curves("train_loss", "training loss: mean over seeds, least to greatest", "minmax", log=True),
            curves("train_error_percent", "training error (%): mean over seeds ± standard deviation", "stddev"),
            curves("test_loss", "test loss: mean over seeds, least to greatest", "minmax", log=True),
        ],
    }
    for name, panels in sections.items():
        for panel in panels:
            panel._id = _stable(study.name, name, panel.title)
    made = workspaces.Workspace(
        entity=logger.entity or "",
        project=logger.project,
        name=f"{study.name}: {study.question}",
        sections=[workspaces.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
        settings=workspaces.WorkspaceSettings(x_axis="step", max_runs=MOST_ROWS),
        runset_settings=workspaces.RunsetSettings(
            filters=expr.And(expr.Config("study") == study.name, expr.Metric("JobType") == "train"),
            groupby=[expr.Metric("Group")],
            order=[expr.Ordering(expr.Metric("Group"), ascending=True)],
        ),
    )
    made._internal_name = f"nw-{_stable(study.name)}-v"  # saving again replaces the same workspace
    return made


def specification(made) -> dict:
    """What is sent to Weights & Biases; the same for the same study."""
    return made._to_model().model_dump(by_alias=True, exclude_none=True)


def _stable(*words: str) -> str:
    # wandb-workspaces would use random names.
    return hashlib.sha256("/".join(words).encode()).hexdigest()[:11]


def save(study: Study, logger: Wandb) -> tuple[str | None, str]:
    """The address of the saved workspace, or None and the reason why there is none."""
    if logger.mode != "online":
        return None, f"logger.mode={logger.mode}"
    import wandb

    try:
        if not wandb.login(prompt=False):
            return None, "there is no login; `wandb login`, then the same command"
        logger.entity = logger.entity or wandb.Api(timeout=20).default_entity
        return workspace(study, logger).save().url, ""
    except Exception as error:  # a server, a network, a login: the library does not document what it raises
        return None, (str(error).splitlines() or [type(error).__name__])[0]
