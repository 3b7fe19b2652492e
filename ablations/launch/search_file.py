"""The file of a search, RUNS_DIR/NAME.yaml: a study whose rows are the trials so far, the best first."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from ablations.config import names
from ablations.config import study as studies
from ablations.config.study import Row, Study
from ablations.errors import UserError
from ablations.system import lock
from ablations.system.files import write_whole

LONGEST_ROW = 60  # characters; settings follow in the name of a folder
BEST = "best"  # the row that is trained on all images with the best values
HEAD = "# Written by a search of ablations train, which adds its trials to it.\n"


@dataclass(frozen=True)
class SearchFile:
    """path: where it is. common: the settings of all trials. seeds: of each trial. chooses: whether the errors are of images
    that are held out, so that the best values are to be trained on all.
    """

    path: Path
    common: tuple[str, ...]
    seeds: int
    chooses: bool

    @property
    def study(self) -> Study:
        """What a trial is planned in: this study without its rows."""
        return Study(self.path.stem, "", "", "", self.seeds, self.common, ())

    def rows(self) -> list[Row]:
        """The trials that are in the file. Raises UserError if it is there and not of this search."""
        if not self.path.exists():
            return []
        elsewhere = "choose another name for this search, as study=my_search"
        if not self.path.read_text().startswith(HEAD):
            raise UserError(f"{self.path} was not written by a search; {elsewhere}")
        study = studies.load(str(self.path))
        if {*study.common} != {*self.common}:
            here, there = sorted({*self.common} - {*study.common}), sorted({*study.common} - {*self.common})
            raise UserError(
                f"{self.path} is of a search with other settings ({', '.join(there) or 'fewer'} there, "
                f"{', '.join(here) or 'fewer'} here); {elsewhere}"
            )
        return [row for row in study.rows if row.name != BEST]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within this block no other search writes the file. Raises UserError if its file system has no locks."""
        with lock.locked(self.path.with_name(f".{self.path.name}.lock"), waiting=lambda: None):
            yield

    def write(self, found: list[Row], others: list[Row]) -> None:
        """Replace the file by one with these trials: those with a result, the best first, and those without one."""
        rows = [*found, *others]
        split = "validation" if self.chooses else "test"
        keys = list(dict.fromkeys(key for row in rows for key in row.settings))
        listed = [{"row": row.name, "overrides": [*(row.overrides or ())]} for row in rows]
        best = {"row": BEST, "best_of": [row.name for row in found], "overrides": ["data.split=train_test"]}
        content = {
            "question": f"Which {' and '.join(keys)} {'has' if len(keys) == 1 else 'have'} the lowest {split} error?",
            "seeds": self.seeds,
            "common": [*self.common],
            "rows": listed + ([best] if found and self.chooses else []),
            "figures": [self._figure(key, rows, split) for key in keys if _numbers(key, rows)],
        }
        text = yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)
        write_whole(self.path, HEAD + text)

    @staticmethod
    def _figure(key: str, rows: Sequence[Row], split: str) -> dict:
        numbers = _numbers(key, rows)
        wide = min(numbers) > 0 and max(numbers) >= 10 * min(numbers)
        return {
            "name": f"error_against_{key.rpartition('.')[2]}",
            "kind": "points",
            "caption": f"{split.capitalize()} error against {key}, a point a trial",
            "x": key,
            "x_scale": "log" if wide else "linear",
        }


def row(overrides: Sequence[str]) -> Row:
    """A trial as a row, named by what the sweeper chose. A name has no comma, which would begin the command's settings.

    Raises UserError if the sweeper chose nothing.
    """
    if not overrides:
        raise UserError("there is nothing to search: give a setting a range, as 'shortcut.bias=interval(-10,0)'")
    name = "_".join(overrides).translate(str.maketrans("/,", "__", "'\" +"))
    return Row(names.cut(name, LONGEST_ROW), tuple(overrides))


def _numbers(key: str, rows: Sequence[Row]) -> list[float]:
    """The values of a setting in all rows that have it; none if one is not a number."""
    try:
        return [float(row.settings[key]) for row in rows if key in row.settings]
    except ValueError:
        return []
