"""Segmentation from the command to tables and figures: one small run for all."""

import json

import numpy as np
import pytest

import ablations as ab
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations_tests.conftest import here

SMALL = (
    "model=unet_digits",
    "model.widths=[2,4]",
    "data=digits_mask",
    "data.pad=1",
    "data.flip=true",
    "recipe=digits_mask",
)
SMALL += ("recipe.batch_size=32", "recipe.total_steps=2", "recipe.evaluate_every=1", "data.train_images=64")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(where the command ran, what it printed, the run's folder)"""
    place = tmp_path_factory.mktemp("segmentation")
    done = here("train", "study=unet", "row=none", "seeds=1", *SMALL, "hydra/launcher=basic", cwd=place)
    assert done.returncode == 0, done.stderr
    return place, done.stderr, RunFolder(next((place / "runs" / "unet").glob("none*/seed=0")))


def test_lines_and_records_have_the_iou(trained):
    _, lines, folder = trained
    record, metrics = folder.record(), folder.metrics()
    assert metrics[-1]["test_iou_percent"] == record["test_iou_percent"]
    assert f"test error {record['test_error_percent']:.2f} %  IoU {record['test_iou_percent']:.2f} %" in lines
    assert 0 < metrics[0]["train_error_percent"] < 100 and "test_top5_error_percent" not in record
    assert record["config"]["data"]["name"] == "digits_mask" and record["test_images"] == 1_000


def test_weights_give_the_record_s_figures_again(trained):
    place, _, folder = trained
    done, record = here("eval", f"run={folder}", cwd=place), folder.record()
    said = f"test error {record['test_error_percent']:.2f} % of the pixels of 1,000 images, IoU {record['test_iou_percent']:.2f} %"
    assert said in done.stdout, done.stderr


def test_a_loaded_network_classifies_and_trains_on_every_pixel(trained):
    net = ab.load(trained[2].path)
    images = np.random.RandomState(0).randint(0, 256, (3, 16, 16, 1)).astype(np.uint8)
    logits = net(images)
    assert logits.shape == (3, 16, 16, 2) and logits.dtype == np.float32
    after, loss = net.step((images, (images[..., 0] > 128).astype(np.uint8)))
    assert loss > 0 and int(after.state.step) == 3
    with pytest.raises(UserError, match=r"labels of shape \(3,\): give one label for each pixel"):
        net.step((images, np.zeros(3, int)))
    with pytest.raises(UserError, match="images of 15 pixels do not allow; the nearest sides that fit: 14 and 16"):
        net(images[:, :15])


def test_a_run_keeps_what_it_predicts_of_the_first_test_images(trained):
    folder = trained[2]
    with np.load(folder.examples_file) as file:
        images, masks, predictions = file["images"], file["masks"], file["predictions"]
    assert masks.shape == predictions.shape == (4, 16, 16)
    np.testing.assert_array_equal(predictions, ab.load(folder.path)(images).argmax(-1))


def test_tables_and_figures_show_it(trained):
    place, _, folder = trained
    iou = f"{folder.record()['test_iou_percent']:.2f}"
    table = here("table", "study=unet", "format=markdown", cwd=place).stdout
    heading, row = [
        next(line for line in table.splitlines() if name in line).split("|") for name in ("| row", "| none")
    ]
    assert row[[cell.strip() for cell in heading].index("IoU")].strip() == iou
    assert "The errors are of pixels." in table and "protocol" not in table
    drawn = here("figure", "study=unet", "figure=masks", "out=masks.svg", cwd=place)
    assert drawn.returncode == 0, drawn.stderr
    figure = (place / "masks.svg").read_text()
    assert figure.count("<image") == 3 * 4  # images, masks and one row
    alone = here("figure", f"run={folder}", "format=png", cwd=place)
    assert "wrote unet-masks.png" in alone.stdout, alone.stderr
    page = here("report", cwd=place)
    assert page.returncode == 0 and f">{iou}</td>" in (place / "report.html").read_text()


@pytest.mark.parametrize("kind", ["probe", "lesion"])
def test_what_makes_no_sense_for_long_skips_is_refused_with_the_reason(trained, kind):
    place, _, folder = trained
    done = here(kind, f"run={folder}", cwd=place)
    assert done.returncode == 2 and f"{kind} of model=unet_digits: not possible: " in done.stderr


def test_its_loss_landscape_is_of_pixels(trained):
    place, _, folder = trained
    done = here("landscape", f"run={folder}", "images=8", "directions=1", "points=1", cwd=place)
    assert done.returncode == 0, done.stderr
    measured = json.loads((folder.path / "landscape.json").read_text())
    assert 0 < measured["error_percent"] < 100 and measured["loss"] > 0


def test_a_data_set_of_masks_is_prepared_without_naming_a_network(tmp_path):
    done = here("data", "prepare", "data=digits_mask", cwd=tmp_path)
    assert done.stdout == "digits_mask comes with a package: nothing to prepare\n", done.stderr
