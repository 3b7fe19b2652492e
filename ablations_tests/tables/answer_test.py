"""What is said of tables with known rows."""

from ablations.config import study as studies
from ablations.tables import columns, interval
from ablations.tables.answer import answer, statistics
from ablations.tables.groups import groups
from ablations.tables.pairwise import pairwise
from ablations.tables.table import Line, Table

STUDY = studies.load("table1")
ROWS = {row.name: row for row in STUDY.rows}


def table(departures="", **errors):
    """Table 1 with these rows' errors, one a seed; None diverged."""
    lines = [
        Line(row, {"value": "6.61"} if name == "identity" else {"value": "12.22"}, dict(enumerate(errors[name])))
        for name, row in ROWS.items()
        if name in errors
    ]
    return Table(STUDY, "", tuple(lines), departures, "")


def said(departures="", **errors):
    return " ".join(answer(table(departures, **errors)))


def of_study(name, errors):
    """A study's table with the errors of some of its rows."""
    study = studies.load(name)
    lines = tuple(Line(row, None, dict(enumerate(errors.get(row.name, [])))) for row in study.rows)
    return Table(study, "", lines, "", "")


def test_nothing_run():
    assert said() == "Nothing of this study has been run yet."


def test_the_headline_is_one_sentence_and_the_statistics_are_notes():
    made = table(identity=[3.0, 4.0, 5.0], conv1x1=[13.0, 14.2, 15.1], dropout=[90.0, 89.0, 91.0])
    assert answer(made)[:2] == [
        "2 of 3 rows learn; best is identity, with 4.00 % test error (the median of 3 seeds), ahead of the others by more "
        "than chance explains.",
        "One row fails, with a median above 20 %: dropout.",
    ]
    assert statistics(made) == [
        "After identity (median 4.00 %, from 3.00 to 5.00 %) comes conv1x1 (median 14.20 %, from 13.00 to 15.10 %); seed by "
        "seed it differs by +10.10 points on average, 95 % interval +9.85 to +10.35, p < 0.001 (Holm-corrected for 2 "
        "comparisons, since the two were chosen by their errors): more than chance explains."
    ]


def test_what_seeds_cannot_tell_apart_is_said_in_the_headline():
    made = table(identity=[3.0, 4.0, 5.0], conv1x1=[5.0, 4.0, 4.6])
    assert answer(made)[0].endswith("(the median of 3 seeds), but 3 seeds cannot tell it from conv1x1.")
    assert statistics(made)[0].endswith(", p 0.55: no more than chance explains.")


def test_two_rows_that_are_best_together_are_more_than_one():
    made = table(identity=[3.0], conv1x1=[3.0], dropout=[5.0])
    assert answer(made)[0].endswith(
        "best are identity and conv1x1, with 3.00 % test error (one seed), but one seed cannot tell them from dropout."
    )


def test_a_row_that_fails_is_never_said_to_be_as_good():
    """However wide three seeds make its interval."""
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[25.0, 40.0, 78.0])
    assert text.startswith("Only identity learns of 2 rows, with 4.00 % test error.") and "tell it from" not in text


def test_one_seed_says_nothing_of_chance():
    made = table(identity=[3.0], conv1x1=[5.0])
    assert answer(made)[0].endswith("3.00 % test error (one seed), but one seed cannot tell it from conv1x1.")
    assert "nobody can say how much of the difference is chance" in statistics(made)[0]
    assert said(identity=[3.0]).startswith("Only identity is run: 3.00 % test error (one seed).")


def test_nothing_learns():
    assert said(identity=[80.0, 70.0], conv1x1=[90.0, 90.0]).startswith(
        "None of 2 rows learns; the lowest error is 75.00 % test error (the median of 2 seeds), identity."
    )
    assert said(identity=[None]).startswith("Only identity is run: it diverged.")
    assert said(identity=[None], conv1x1=[None]).startswith("None of 2 rows learns; all diverged.")


def test_ties_are_both_best():
    assert "best are identity and conv1x1, with 4.00 %" in said(identity=[3.0, 5.0], conv1x1=[4.0, 4.0])


def test_more_names_than_a_reader_can_take_in_are_put_together():
    errors = {f"exclusive_gating_{bias}": [4.0 + bias / 10] for bias in range(-7, -2)}
    text = said(identity=[3.0], conv1x1=[90.0], **errors)
    assert text.startswith(
        "6 of 7 rows learn (identity, exclusive_gating_{-3, -4, -5, -6, -7}); best is identity, with 3.00 % test error "
        "(one seed), but one seed cannot tell it from the others."
    )


def test_the_paper():
    text = said("Recipe digits departs.", identity=[3.0, 4.0, 5.0], conv1x1=[90.0, 90.0, 90.0])
    assert text.endswith(
        "Beside the paper: 1 row fails here only. These runs are not the paper's: compare the order, not the figures."
    )
    text = said(identity=[3.0, 4.0, 5.0], conv1x1=[13.0, 14.2, 15.1], dropout=[4.0, 3.0, 5.5])
    assert text.endswith(
        "Beside the paper: of those that learn in both, 1 is on the paper's side of the baseline and 1 is too close to the "
        "baseline for so few seeds."
    )


def test_rows_with_another_baseline_are_another_question():
    errors = {
        "resnet110_original": [6.0, 6.2, 6.1], "resnet110_full_preactivation": [5.0, 5.3, 5.1],
        "resnet164_original": [5.0, 5.1, 5.2], "resnet164_bn_after_addition": [90.0, 92.0, 91.0],
        "resnet164_full_preactivation": [5.0, 5.4, 4.9],
    }  # fmt: skip
    headline, fails, missing = answer(of_study("table2", errors))
    assert headline == (
        "Of the 110-layer networks, both rows learn; best is full_preactivation, with 5.10 % test error (the median of 3 "
        "seeds), ahead of the others by more than chance explains. "
        "Of the 164-layer networks, 2 of 3 rows learn; best is full_preactivation, with 5.00 % test error (the median of 3 "
        "seeds), but 3 seeds cannot tell it from original."
    )
    assert fails == "Of the 164-layer networks, bn_after_addition fails, with a median above 20 %."
    assert missing == "5 of 10 rows are not run yet."
    errors["resnet110_bn_after_addition"] = [90.0]
    assert answer(of_study("table2", errors))[1] == "In both, bn_after_addition fails, with a median above 20 %."


def test_groups_in_which_the_same_row_alone_learns_share_a_sentence():
    errors = {"identity_vgg": [2.0], "none_vgg": [88.0], "identity_xception": [1.5], "none_xception": [70.0]}
    headline, missing = answer(of_study("families", errors))
    assert headline == (
        "In the vgg and xception networks, of the 2 rows run in each, only identity learns, with 1.50 to 2.00 % test error."
    )
    assert missing == "60 of 64 rows are not run yet."
    headline, *_ = answer(of_study("families", errors | {"dropout_vgg": [70.0]}))
    assert "of the 2 or 3 rows run in each, only identity learns" in headline


def test_pairs_say_whether_more_the_deeper():
    networks = ("resnet110_1layer", "resnet110", "resnet164", "resnet1001")

    def headline(*errors):
        orders = ("original", "full_preactivation")
        rows = {
            f"{name}_{order}": [error]
            for name, pair in zip(networks, errors, strict=True)
            for order, error in zip(orders, pair, strict=True)
        }
        return answer(of_study("table3", rows))

    text, chance, *_ = headline((6, 3.5), (6, 5), (8, 5), (90, 5))
    assert text == (
        "full_preactivation helps in every network; whether the more, the deeper, one seed cannot tell: its error is below "
        "that of original by 2.50 points (resnet110_1layer), 1.00 (resnet110), 3.00 (resnet164) and 85.00 (resnet1001, where "
        "original fails)."
    )
    assert chance == "But one seed cannot tell any of these from chance."
    text, *_ = headline((6, 3), (6, 7), (8, 5), (None, 5))
    assert text == (
        "full_preactivation helps in 3 of 4 networks: its error minus that of original is -3.00 points (resnet110_1layer), "
        "+1.00 (resnet110), -3.00 (resnet164) and no number (resnet1001, where original fails)."
    )


def of_pairs(*gains):
    """What is said of Table 3's four networks, by how much the second row of each is better, with each seed."""
    networks = ("resnet110_1layer", "resnet110", "resnet164", "resnet1001")
    rows = {f"{name}_original": [12.0] * len(of) for name, of in zip(networks, gains, strict=True)}
    rows |= {
        f"{name}_full_preactivation": [12.0 - gain for gain in of] for name, of in zip(networks, gains, strict=True)
    }
    return answer(of_study("table3", rows))


def test_a_trend_with_depth_needs_seeds_that_tell_the_deepest_from_the_shallowest():
    """Medians that grow from network to network are none: those of 110 and 164 layers differ by one image here."""
    text, chance, *_ = of_pairs((3.3, 3.0, 3.6), (2.2, 2.0, 2.5), (3.6, 3.5, 3.7), (9.5, 9.0, 10.1))
    assert text.startswith(
        "full_preactivation helps more at 1001 layers than at 110: its error is below that of original by"
    )
    assert chance == "Of these, all are more than chance explains."
    text, chance, *_ = of_pairs(
        (3.3, 3.0, 3.6), (2.2, 9.5, 1.0), (3.6, 0.1, 7.7), (9.5, 9.0, 10.1)
    )  # of one at 110 unsure
    assert text.startswith(
        "full_preactivation helps in every network; whether the more, the deeper, 3 seeds cannot tell:"
    )
    assert chance == "Of these, those of resnet110_1layer and resnet1001 are more than chance explains."
    text, *_ = of_pairs((9.5, 9.0, 10.1), (8.2, 8.0, 8.5), (3.6, 3.5, 3.7), (2.2, 2.0, 2.5))
    assert text.startswith("full_preactivation helps less at 1001 layers than at 110:")
    *_, chance, _ = of_pairs((3.3, 0.1, 9.0), (2.2, 9.5, 1.0), (3.6, 0.1, 7.7), (9.5, 9.0, 10.1))
    assert chance == "Of these, that of resnet1001 is more than chance explains."


def test_the_best_row_is_compared_as_one_that_was_chosen():
    """Alone p is 0.02, which three rows with three pairs do not resolve; the runs of another network count as well."""
    errors = {
        "resnet110_original": [6.0, 6.9, 7.9], "resnet110_full_preactivation": [5.0, 5.5, 6.2],
        "resnet110_relu_only_preactivation": [7.5, 6.6, 7.6],
    }  # fmt: skip
    first, second = (errors[name] for name in ("resnet110_original", "resnet110_full_preactivation"))
    assert 0.05 / 3 < interval.p_value([a - b for a, b in zip(first, second, strict=True)]) < 0.05
    two = {name: errors[name] for name in list(errors)[:2]}
    assert "ahead of the others by more than chance explains" in answer(of_study("table2", two))[0]
    made = of_study("table2", errors)
    assert answer(made)[0].endswith(
        "but 3 seeds cannot tell it from resnet110_original and resnet110_relu_only_preactivation."
    )
    assert (
        "(Holm-corrected for 3 comparisons, since the two were chosen by their errors): no more" in statistics(made)[0]
    )
    four = of_study("table2", errors | {"resnet110_relu_before_addition": [8.0, 7.7, 8.4]})
    assert pairwise(four, groups(four)).tests == 6  # also of two rows neither of which is best or the baseline
    two |= {"resnet164_original": [5.0, 5.6, 5.1], "resnet164_full_preactivation": [5.0, 5.4, 4.9]}
    two |= {"resnet164_relu_only_preactivation": [5.2, 5.4, 5.1]}
    assert "tell it from original. Of the 164" in answer(of_study("table2", two))[0]


def test_what_the_headline_resolves_no_verdict_leaves_open():
    """Rows that fail count in the verdicts' correction: fourteen of them, of which the seeds say nothing."""
    failing = {name: [30.0, 3.0, 50.0] for name in ROWS if name not in ("identity", "conv1x1")}
    made = table(identity=[3.0, 4.0, 5.0], conv1x1=[4.0, 5.1, 6.3], **failing)
    found = made.comparison(made.line("conv1x1"))
    assert found and not found.resolved
    assert answer(made)[0].endswith("but 3 seeds cannot tell it from conv1x1.")


def test_a_row_named_none_is_quoted():
    errors = {"identity_vgg": [2.0], "none_vgg": [88.0], "dropout_vgg": [3.0], "none_xception": [7.0]}
    headline, fails, _ = answer(of_study("families", errors))
    assert fails == 'Of the vgg networks, "none" fails, with a median above 20 %.'
    assert 'Of the xception networks, only "none" is run' in headline
    by_column = columns.of(of_study("families", errors))
    assert by_column and columns.reading(by_column) == 'vgg: 2 of 3 learn, all but "none"; xception: all 1 learn.'


def test_fails_without_a_baseline_that_learns_are_counted_apart():
    text = said(identity=[50.0], dropout=[60.0], plain=[70.0])
    assert text.endswith("Beside the paper: 1 row fails here only; 2 have no verdict, as the baseline fails.")
    assert said(identity=[], dropout=[60.0]).endswith("Beside the paper: 1 has no verdict, as the baseline is not run.")


def test_data_sets_are_never_one_group():
    errors = {"resnet110_original": [6.0], "resnet1202_original": [7.0]}
    errors |= {f"cifar100_resnet164_{order}": [25.0] for order in ("original", "full_preactivation")}
    assert [(group.name, len(group.lines)) for group in groups(of_study("table4", errors))] == [
        ("cifar10", 2),
        ("cifar100", 2),
    ]


def test_a_study_of_depths_says_where_each_row_first_fails():
    errors = {f"identity_{depth}": [error] for depth, error in ((20, 2.0), (44, 3.0), (110, 4.0))}
    errors |= {f"plain_{depth}": [error] for depth, error in ((20, 2.0), (44, 60.0), (110, 90.0))}
    errors |= {f"dropout_{depth}": [error] for depth, error in ((20, 50.0), (44, 60.0), (110, 90.0))}
    headline, growth, _ = answer(of_study("depth", errors))
    assert headline == (
        "The deeper the networks, the fewer learn: dropout fails first, at 20 layers, then plain (44); up to 110 layers only "
        "identity never fails."
    )
    assert growth == "Test error at 20 and at 110 layers: identity 2.00 and 4.00 %."
    learning = {name: found for name, found in errors.items() if name.startswith("identity")}
    assert answer(of_study("depth", learning))[0] == "The only row learns at every depth, from 20 to 110 layers."
    two_depths = {name: found for name, found in errors.items() if not name.endswith("44")}
    assert answer(of_study("depth", two_depths))[0].startswith("Of the 20-layer networks, 2 of 3 rows learn")


def test_rows_without_a_cell_are_named_by_their_baseline():
    errors = {"resnet50_1x64d": [14.0], "resnext50_2x40d": [13.0], "resnext29_1x64d": [4.0]}
    assert answer(of_study("cardinality", errors))[0] == (
        "Of the resnet50_1x64d group, both rows learn; best is resnext50_2x40d, with 13.00 % test error (one seed), but one "
        "seed cannot tell it from resnet50_1x64d. "
        "Of the resnext29_1x64d group, only resnext29_1x64d is run: 4.00 % test error (one seed)."
    )
