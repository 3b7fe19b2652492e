"""What is said of tables with known rows."""

from ablations.config import study as studies
from ablations.tables.answer import answer
from ablations.tables.table import Line, Table

STUDY = studies.load("table1")
ROWS = {row.name: row for row in STUDY.rows}


def said(departures="", **errors):
    """The answer for these rows' errors, one a seed; None diverged."""
    lines = [
        Line(
            row, {"value": "6.61"} if name == "identity" else {"value": "12.22"}, dict(enumerate(errors.get(name, [])))
        )
        for name, row in ROWS.items()
    ]
    return " ".join(answer(Table(STUDY, "", tuple(lines), departures, "")))


def test_nothing_run():
    assert said() == "Nothing of this study has been run yet."


def test_the_best_and_how_sure():
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[13.0, 14.2, 15.1], dropout=[90.0, 89.0, 91.0])
    assert text.startswith(
        "Best is identity, with 4.00 % test error (the median of 3 seeds, from 3.00 to 5.00 %). "
        "After identity comes conv1x1, with 14.20 % test error (the median of 3 seeds, from 13.00 to 15.10 %). "
        "Seed by seed it differs by +10.10 points on average, 95 % interval +9.85 to +10.35: "
        "more than chance explains. 1 of 3 rows fail, which is a median above 20 %: dropout."
    )
    assert "a t-test at 5 % sees a difference of" in text


def test_what_seeds_cannot_tell_apart_is_said_first():
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[5.0, 4.0, 4.6])
    assert "from 3.00 to 5.00 %); 3 seeds cannot tell it from conv1x1. After" in text
    assert "which holds 0." in text and "more than chance" not in text


def test_a_row_that_fails_is_never_said_to_be_as_good():
    """However wide three seeds make its interval."""
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[25.0, 40.0, 78.0])
    assert "from 3.00 to 5.00 %), the only row that learns. 1 of 2 rows fail" in text


def test_one_seed_says_nothing_of_chance():
    text = said(identity=[3.0], conv1x1=[5.0])
    assert "3.00 % test error (one seed)" in text and "nobody can say how much of the difference is chance" in text
    assert said(identity=[3.0]).startswith("Only identity is run: 3.00 % test error (one seed).")


def test_nothing_learns():
    assert said(identity=[80.0, 70.0], conv1x1=[90.0, 90.0]).startswith(
        "No row learns: all 2 rows end above 20 %. The lowest is identity, with 75.00 % test error"
    )
    assert said(identity=[None]).startswith("No row learns: the only row ends without an error")
    assert "the only row that learns." in said(identity=[8.0, 7.0], conv1x1=[90.0, None, None])


def test_ties_are_both_best():
    assert said(identity=[3.0, 5.0], conv1x1=[4.0, 4.0]).startswith("Best are identity and conv1x1, with 4.00 %")


def test_the_paper():
    text = said("Recipe digits departs.", identity=[3.0, 4.0, 5.0], conv1x1=[90.0, 90.0, 90.0])
    assert "Beside the paper: of the rows that fail, 1 here only. These runs are not the paper's" in text
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[13.0, 14.2, 15.1], dropout=[4.0, 3.0, 5.5])
    assert (
        "Beside the paper: of those that learn in both, 1 on the same side of the baseline as there and 1 not resolved by so few"
    ) in text


def test_rows_with_another_baseline_are_another_question():
    study = studies.load("table2")
    errors = {
        "resnet110_original": [6.0, 6.2, 6.1], "resnet110_full_preactivation": [5.0, 5.3, 5.1],
        "resnet164_original": [5.0, 5.1, 5.2], "resnet164_bn_after_addition": [9.0, 9.2, 9.1],
        "resnet164_full_preactivation": [5.0, 5.4, 4.9],
    }  # fmt: skip
    lines = tuple(Line(row, None, dict(enumerate(errors.get(row.name, [])))) for row in study.rows)
    learning, first, of_110, of_164, *_ = answer(Table(study, "", lines, "", ""))
    assert learning == "resnet110: all 2 learn; resnet164: all 3 learn."
    assert first == (
        "Best is resnet110_full_preactivation, with 5.10 % test error (the median of 3 seeds, from 5.00 to 5.30 %). "
        "Best is resnet164_full_preactivation, with 5.00 % test error (the median of 3 seeds, from 4.90 to 5.40 %); "
        "3 seeds cannot tell it from resnet164_original."
    )
    assert of_110.startswith("After resnet110_full_preactivation comes resnet110_original, with 6.10 %")
    assert of_164.startswith("After resnet164_full_preactivation comes resnet164_original, with 5.10 %")
