"""Reading a small module, written by hand in the form that XLA prints, whose every number can be counted on paper."""

import pytest

from ablations.compilers import hlo

# What a step of it does: two kernels outside of loops, a loop of three rounds with four kernels and a collective in each.
TEXT = """\
HloModule jit_advance, is_scheduled=true

FileNames
1 "/home/me/ablations/training/steps.py"
2 "/home/me/ablations/networks/layers.py"
3 "/home/me/ablations/.venv/lib/python3.11/site-packages/optax/sgd.py"

FunctionNames
1 "Steps._step"
2 "BatchNorm.__call__"
3 "update"

FileLocations
1 {file_name_id=1 function_name_id=1 line=134 end_line=134 column=41 end_column=93}
2 {file_name_id=2 function_name_id=2 line=54 end_line=56 column=28 end_column=9}
3 {file_name_id=3 function_name_id=3 line=7 end_line=7 column=1 end_column=9}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}
3 {file_location_id=3 parent_frame_id=2}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%inner (param_0.9: f32[5,100], param_1.9: s32[]) -> f32[100] {
  %param_1.9 = s32[] parameter(1)
  %param_0.9 = f32[5,100]{1,0} parameter(0)
  %zero.9 = s32[] constant(0)
  %slice.9 = f32[1,100]{1,0} dynamic-slice(%param_0.9, %param_1.9, %zero.9), dynamic_slice_sizes={1,100}
  ROOT %row.9 = f32[100]{0} bitcast(%slice.9)
}

%of_a_slice (param_0: f32[5,100], param_1: s32[], param_2: f32[100]) -> f32[100] {
  %param_0 = f32[5,100]{1,0} parameter(0)
  %param_1 = s32[] parameter(1)
  %param_2 = f32[100]{0} parameter(2)
  %fusion.inner = f32[100]{0} fusion(%param_0, %param_1), kind=kLoop, calls=%inner
  ROOT %multiply.1 = f32[100]{0} multiply(%fusion.inner, %param_2)
}

%in_place (param_0.2: f32[5,100], param_1.2: s32[], param_2.2: f32[100]) -> f32[5,100] {
  %param_0.2 = f32[5,100]{1,0} parameter(0)
  %param_1.2 = s32[] parameter(1)
  %param_2.2 = f32[100]{0} parameter(2)
  %new.2 = f32[1,100]{1,0} bitcast(%param_2.2)
  %zero.2 = s32[] constant(0)
  ROOT %update.2 = f32[5,100]{1,0} dynamic-update-slice(%param_0.2, %new.2, %param_1.2, %zero.2)
}

%summed (param_0.3: f32[5,100]) -> f32[100] {
  %param_0.3 = f32[5,100]{1,0} parameter(0)
  %zero.3 = f32[] constant(0)
  ROOT %reduce.3 = f32[100]{0} reduce(%param_0.3, %zero.3), dimensions={0}, to_apply=%add
}

%body (state: (s32[], f32[100], f32[5,100])) -> (s32[], f32[100], f32[5,100]) {
  %state = (s32[], f32[100]{0}, f32[5,100]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %row = f32[100]{0} get-tuple-element(%state), index=1
  %rows = f32[5,100]{1,0} get-tuple-element(%state), index=2
  %product = f32[100]{0} fusion(%rows, %i, %row), kind=kLoop, calls=%of_a_slice, metadata={op_name="a" stack_frame_id=2}
  %conv = (f32[100]{0}, u8[0]{0}) custom-call(%product), custom_call_target="__cudnn$convForward"
  %out = f32[100]{0} get-tuple-element(%conv), index=0
  %all-reduce-start = f32[100]{0} all-reduce-start(%out), channel_id=1, to_apply=%add
  %all-reduce-done = f32[100]{0} all-reduce-done(%all-reduce-start)
  %updated = f32[5,100]{1,0} fusion(%rows, %i, %all-reduce-done), kind=kLoop, calls=%in_place
  %mean = f32[100]{0} fusion(%updated), kind=kInput, calls=%summed, metadata={op_name="b" stack_frame_id=3}
  %one = s32[] constant(1)
  ROOT %next = (s32[], f32[100]{0}, f32[5,100]{1,0}) tuple(%i, %mean, %updated)
}

%condition (state.1: (s32[], f32[100], f32[5,100])) -> pred[] {
  %state.1 = (s32[], f32[100]{0}, f32[5,100]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%state.1), index=0
  %limit = s32[] constant(3)
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

ENTRY %main (p0: f32[100], p1: f32[5,100], p2: bf16[64]) -> (f32[100], bf16[64]) {
  %p0 = f32[100]{0} parameter(0)
  %p1 = f32[5,100]{1,0} parameter(1)
  %p2 = bf16[64]{0} parameter(2)
  %start = s32[] constant(0)
  %begin = (s32[], f32[100]{0}, f32[5,100]{1,0}) tuple(%start, %p0, %p1)
  %while = (s32[], f32[100]{0}, f32[5,100]{1,0}) while(%begin), condition=%condition, body=%body
  %end = f32[100]{0} get-tuple-element(%while), index=1
  %copied = bf16[64]{0} copy(%p2)
  %dot = f32[10]{0} custom-call(%end, %p1), custom_call_target="__cublas$gemm"
  ROOT %result = (f32[100]{0}, bf16[64]{0}) tuple(%end, %copied)
}
"""


@pytest.fixture(scope="module")
def kernels():
    return {kernel.name: kernel for kernel in hlo.read(TEXT).kernels(steps=1)}


def test_a_loops_kernels_count_as_often_as_it_goes_round_and_what_runs_nothing_is_none(kernels):
    in_loop = ("product", "conv", "all-reduce-start", "updated", "mean")
    assert {name: kernel.times for name, kernel in kernels.items()} == dict.fromkeys(in_loop, 3) | {
        "copied": 1,
        "dot": 1,
    }


def test_steps_of_a_call_share_its_kernels():
    assert [kernel.times for kernel in hlo.read(TEXT).kernels(steps=6)] == [0.5] * 5 + [1 / 6] * 2


def test_a_loop_may_count_without_a_sign():
    text = TEXT.replace("%limit = s32[] constant(3)", "%limit = u32[] constant(3)")
    assert {kernel.times for kernel in hlo.read(text).kernels(1)} == {3, 1}


def test_a_known_number_of_rounds_needs_no_condition():
    text = TEXT.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"7"}}')
    assert {kernel.times for kernel in hlo.read(text).kernels(1)} == {7, 1}


def test_a_loop_without_a_limit_is_no_guess():
    with pytest.raises(ValueError, match="while: the condition of this loop"):
        hlo.read(TEXT.replace("constant(3)", "parameter(3)")).kernels(1)


@pytest.mark.parametrize(
    "name,size",
    [
        ("product", 400 + 4 + 400 + 400),  # a row of five, through the fusion inside; its index; a factor; the result
        ("conv", 400 + 400),
        ("all-reduce-start", 400 + 400),
        ("updated", 4 + 400 + 400),  # an index, the new row, and the same written: nothing of the other rows
        ("mean", 2000 + 400),
        ("copied", 128 + 128),
        ("dot", 400 + 2000 + 40),
    ],
)
def test_bytes_are_those_that_a_kernel_touches(kernels, name, size):
    assert kernels[name].size == size


def test_kinds_dtypes_and_lines(kernels):
    assert {name: kernel.kind for name, kernel in kernels.items()} == {
        "product": "elementwise",
        "conv": "convolution",
        "all-reduce-start": "collective",
        "updated": "slice update",
        "mean": "reduce",
        "copied": "copy",
        "dot": "matrix product",
    }
    assert (kernels["copied"].dtype, kernels["mean"].dtype) == ("bf16", "f32")
    assert kernels["product"].source == "networks/layers.py:54"
    assert kernels["mean"].source == "training/steps.py:134", "the line that called another package"
    assert kernels["conv"].source == ""


TPU = """\
HloModule jit_advance

%body.1 (param_0: bf16[4,100]) -> bf16[100] {
  %param_0 = bf16[4,100]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %slice.1 = bf16[100]{0:T(128)(2,1)S(1)} slice(%param_0), slice={[0:1], [0:100]}
}

ENTRY %main (p0: bf16[4,100]) -> bf16[100] {
  %p0 = bf16[4,100]{1,0:T(8,128)(2,1)} parameter(0)
  %buffer = bf16[4,100]{1,0:T(8,128)(2,1)} custom-call(), custom_call_target="AllocateBuffer"
  %copy-start = (bf16[4,100]{1,0:T(8,128)(2,1)S(1)}, bf16[4,100]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%p0)
  %copy-done = bf16[4,100]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  %sliced = bf16[100]{0:T(128)(2,1)S(1)} fusion(%p0), kind=kLoop, calls=%body.1, backend_config={"estimated_cycles":"250"}
  %inside = bf16[100]{0:T(128)(2,1)S(1)} negate(%sliced), backend_config={"estimated_cycles":"20"}
  %sum = bf16[100]{0:T(128)(2,1)S(1)} all-reduce(%inside), channel_id=1, backend_config={"estimated_cycles":"90"}
  ROOT %out = bf16[100]{0:T(128)(2,1)} copy(%sum)
}
"""


def test_of_a_tpu_only_its_large_memory_counts_and_cycles_are_its_compilers():
    kernels = {kernel.name: kernel for kernel in hlo.read(TPU).kernels(1)}
    assert {name: kernel.size for name, kernel in kernels.items()} == {
        "copy-start": 800,  # read there, written to VMEM
        "sliced": 200,
        "inside": 0,
        "sum": 400,  # what goes over the links counts wherever it lies
        "out": 200,
    }
    assert {name: kernel.cycles for name, kernel in kernels.items() if kernel.cycles} == {
        "sliced": 250,
        "inside": 20,
        "sum": 90,
    }


@pytest.mark.parametrize(
    "shape,size",
    [
        ("f32[]", 4),
        ("bf16[128,32,32,16]{3,2,1,0}", 2 * 128 * 32 * 32 * 16),
        ("(f32[2]{0}, s4[4]{0}, f8e4m3fn[3]{0})", 8 + 2 + 3),
        ("pred[7]{0:T(128)S(1)}", 0),
    ],
)
def test_sizes(shape, size):
    assert hlo.size(shape) == size
