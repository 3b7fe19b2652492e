"""What is said of tables with known rows."""

from ablations import study as studies
from ablations.answer import answer
from ablations.table import Line, Table

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
        "Next is conv1x1, with 14.20 % test error (the median of 3 seeds, from 13.00 to 15.10 %). "
        "Seed by seed it differs from the best by +10.10 points on average, 95 % interval +9.85 to +10.35: "
        "more than chance explains. identity is better than 2 of the 2 other rows by more than chance explains. "
        "1 of 3 rows fail, which is to end above 20 %: dropout."
    )
    assert "a t-test at 5 % sees a difference of" in text


def test_what_seeds_cannot_tell_apart_is_said():
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[5.0, 4.0, 4.5])
    assert "interval holds 0: 3 seeds cannot tell the two apart." in text and "more than chance" not in text


def test_one_seed_says_nothing_of_chance():
    text = said(identity=[3.0], conv1x1=[5.0])
    assert "3.00 % test error (one seed)" in text and "nobody can say how much of the difference is chance" in text
    assert said(identity=[3.0]).startswith("Only identity is run: 3.00 % test error (one seed).")


def test_nothing_learns():
    assert said(identity=[80.0, 70.0], conv1x1=[90.0, 90.0]).startswith(
        "No row learns: all 2 rows end above 20 %. The lowest is identity, with 75.00 % test error"
    )
    assert said(identity=[None]).startswith("No row learns: the only row ends without an error")
    assert "It is the only row that learns." in said(identity=[8.0, 7.0], conv1x1=[90.0, None, None])


def test_ties_are_both_best():
    assert said(identity=[3.0, 5.0], conv1x1=[4.0, 4.0]).startswith("Best are identity and conv1x1, with 4.00 %")


def test_the_paper():
    text = said("Recipe digits departs.", identity=[3.0, 4.0, 5.0], conv1x1=[90.0, 90.0, 90.0])
    assert "The paper has a result for 2 of these rows; ours agree with it on 1 and differ on 1." in text
    assert "not the paper's: see the notes" in text


def test_rows_with_several_baselines():
    study = studies.load("table2")
    errors = {
        "resnet110_original": [6.0, 6.2, 6.1], "resnet110_full_preactivation": [5.0, 5.3, 5.1],
        "resnet164_original": [5.0, 5.1, 5.2], "resnet164_bn_after_addition": [9.0, 9.2, 9.1],
        "resnet164_full_preactivation": [5.0, 5.4, 4.9],
    }  # fmt: skip
    lines = tuple(Line(row, None, dict(enumerate(errors.get(row.name, [])))) for row in study.rows)
    assert (
        "Each row against its baseline, by paired intervals at 95 %: better than it is resnet110_full_preactivation; "
        "worse than it is resnet164_bn_after_addition; not told apart from it is resnet164_full_preactivation."
    ) in " ".join(answer(Table(study, "", lines, "", "")))
