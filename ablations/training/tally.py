"""What the loop of a run has counted so far: a checkpoint holds it beside the state, as plain data."""

from dataclasses import dataclass, field, fields

import numpy as np

from ablations.config.recipe import RecipeConfig


@dataclass
class Tally:
    """The names of its fields are the keys in a checkpoint. One that an older checkpoint lacks has its default.

    step: steps that were trained. losses, wrong: of each of them since the last evaluation, the mean loss and how many
        predictions were wrong.
    metrics, probes: the lines of metrics.jsonl and probes.jsonl.
    train_seconds: of steps, without compilation; wall_seconds: of all; compile_seconds. Over all the processes that the
        run has seen.
    status: "done", also of a run on its way, or "diverged": a loss was not finite.
    broken: the names of images that were passed over. test_images: how many were tested, None before the first test.
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
        known = {part.name for part in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in known})

    def plain(self) -> dict:
        """As plain data, for JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def add(self, losses: np.ndarray, wrong: np.ndarray) -> None:
        """Count the steps of a call; up to the first loss that is not finite, where there is one."""
        finite, steps = np.isfinite(losses), len(losses)
        if not finite.all():
            self.status, steps = "diverged", int(np.argmin(finite)) + 1
        self.step += steps
        self.losses += losses[:steps].tolist()
        self.wrong += wrong[:steps].tolist()

    def add_evaluation(self, metrics: dict) -> None:
        self.metrics.append(metrics)
        self.losses, self.wrong = [], []

    def to_come(self, recipe: RecipeConfig) -> range:
        """The steps that are left."""
        return range(self.step, recipe.total_steps)

    def is_last(self, recipe: RecipeConfig) -> bool:
        """Whether no step is to come."""
        return self.step >= recipe.total_steps or self.status == "diverged"

    def is_evaluated(self, recipe: RecipeConfig) -> bool:
        """Whether an evaluation is due."""
        return self.step % recipe.evaluate_every == 0 or self.is_last(recipe)
