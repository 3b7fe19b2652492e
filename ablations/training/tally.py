"""What the training loop has counted so far: a checkpoint holds it beside the state, as plain data."""

from dataclasses import dataclass, field, fields

import numpy as np

from ablations.config.recipe import RecipeConfig


@dataclass
class Tally:
    """The names of the fields are the keys in a checkpoint. A field that an older checkpoint lacks has its default.

    step: the number of steps trained. losses, wrong: for each step since the last evaluation, the mean loss and the
        number of wrong predictions.
    metrics, probes: the lines of metrics.jsonl and probes.jsonl.
    train_seconds: for steps, without compilation; wall_seconds: for everything; compile_seconds: for compilation; each
        summed over all processes that have trained the run in turn.
    status: "done", even before the run has finished, or "diverged": a loss was not finite.
    broken: the names of broken images that were skipped. test_images: how many were tested, None before the first test.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    metrics: list[dict] = field(default_factory=list)
    train_seconds: float = 0.0
    wall_seconds: float = 0.0
    compile_seconds: float = 0.0
    status: str = "done"
    probes: list[dict] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    test_images: int | None = None

    @classmethod
    def from_plain(cls, plain: dict) -> "Tally":
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in known})

    def plain(self) -> dict:
        """The tally as plain data, for JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def add(self, losses: np.ndarray, wrong: np.ndarray) -> None:
        """Count the steps of a call, but only up to the first loss that is not finite."""
        finite, steps = np.isfinite(losses), len(losses)
        if not finite.all():
            self.status, steps = "diverged", int(np.argmin(finite)) + 1
        self.step += steps
        self.losses += losses[:steps].tolist()
        self.wrong += wrong[:steps].tolist()

    def add_evaluation(self, metrics: dict) -> None:
        self.metrics.append(metrics)
        self.losses, self.wrong = [], []

    def remaining_steps(self, recipe: RecipeConfig) -> range:
        """The numbers of the steps that are left."""
        return range(self.step, recipe.total_steps)

    def is_last(self, recipe: RecipeConfig) -> bool:
        """Whether no step is left to train."""
        return self.step >= recipe.total_steps or self.status == "diverged"

    def is_evaluation_due(self, recipe: RecipeConfig) -> bool:
        """Whether an evaluation is due."""
        return self.step % recipe.evaluate_every == 0 or self.is_last(recipe)
