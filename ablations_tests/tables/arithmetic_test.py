"""A table says what f32 means on the platforms of its runs, and where figures of several platforms stand together."""

import csv
import io

import pytest

from ablations.config import study as studies
from ablations.errors import UserError
from ablations.reports import figure
from ablations.tables import cells, markup, table
from ablations_tests.tables.table_test import record


def on(device: str, row: str, error: float, seed: int = 0, **config) -> dict:
    return record(row, error, seed, **config) | {"device": device}


CPU, GPU, TPU = "cpu: AMD EPYC, 2 cores", "gpu: NVIDIA H100 80GB HBM3", "tpu: TPU v5 lite"


def arithmetic(*records: dict) -> str:
    return table.make(studies.load("table1"), list(records)).arithmetic


def test_on_a_cpu_there_is_nothing_to_say():
    for settings in ({}, {"matmul_precision": "highest"}, {"precision": "bf16"}):
        assert arithmetic(on(CPU, "identity", 3.0, **settings), on(CPU, "plain", 90.0, **settings)) == ""


@pytest.mark.parametrize(
    "device,matmul_precision,said",
    [
        (GPU, "default", "On a GPU, f32 means that a product of two numbers is TF32"),
        (GPU, "high", "On a GPU, f32 means that a product of two numbers is TF32"),
        (GPU, "highest", "On a GPU, f32 means that a product of two numbers is float32 ("),
        (TPU, "default", "On a TPU, f32 means that a product of two numbers is one pass of bf16"),
        (TPU, "high", "On a TPU, f32 means that a product of two numbers is three passes of bf16"),
        (TPU, "highest", "On a TPU, f32 means that a product of two numbers is six passes of bf16"),
        ("metal: M9", "default", "On metal, f32 means that a product of two numbers is what its compiler chooses"),
    ],
)
def test_what_f32_means_on_an_accelerator(device, matmul_precision, said):
    text = arithmetic(on(device, "identity", 3.0, matmul_precision=matmul_precision))
    assert text.startswith(said) and f"(matmul_precision={matmul_precision})" in text
    assert ("only matmul_precision=highest gives float32" in text) == (matmul_precision != "highest")


def test_bf16_has_no_f32_to_explain():
    text = arithmetic(on(GPU, "identity", 3.0, precision="bf16"))
    assert text == "On a GPU, convolutions multiply bf16 numbers (precision=bf16)."


MIXED = (
    *(on(CPU, "identity", 3.0), on(GPU, "identity", 4.0, 1), on(CPU, "plain", 90.0)),
    *(on(GPU, "conv1x1", 12.0), on(GPU, "dropout", 12.0, 1)),
)


def test_cells_with_figures_of_several_platforms_are_named():
    text = arithmetic(*MIXED)
    assert text.startswith("On a GPU, f32 means")
    assert text.endswith(
        "Runs of several platforms, whose arithmetic differs, stand side by side: cpu in plain; cpu and gpu in identity, "
        "whose figures mix them; gpu in conv1x1, dropout. "
        "A difference from the baseline is one between platforms, too, in conv1x1."
    ), text


def test_another_machine_of_the_same_platform_is_no_other_platform():
    assert arithmetic(on(CPU, "identity", 3.0), on("cpu: Intel Xeon, 8 cores", "plain", 90.0)) == ""
    assert "several platforms" not in arithmetic(on(GPU, "identity", 3.0), on("gpu: NVIDIA A100", "plain", 90.0))


@pytest.mark.parametrize("form", [markup.markdown, markup.as_csv, markup.html, markup.latex])
def test_every_form_of_a_table_says_so(form):
    mixed = table.make(studies.load("table1"), list(MIXED))
    assert mixed.arithmetic in cells.notes(mixed)
    assert "stand side by side" in form(mixed)
    if form is markup.as_csv:
        assert all(mixed.arithmetic in line["settings"] for line in csv.DictReader(io.StringIO(form(mixed))))


def test_a_figure_of_several_platforms_says_so():
    [drawn, *_] = studies.load("table1").figures
    assert "several platforms" in figure.caption(drawn, list(MIXED))
    assert "platforms" not in figure.caption(drawn, [on(GPU, "identity", 3.0)])


def test_runs_of_different_precision_are_never_mixed():
    with pytest.raises(UserError, match=r"differ in matmul_precision \(default and highest\): a table never mixes"):
        arithmetic(on(GPU, "identity", 3.0), on(GPU, "plain", 90.0, matmul_precision="highest"))
