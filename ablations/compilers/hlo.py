"""Reading the text of optimised HLO: the kernels that a program runs, how often, and what each reads and writes.

Figures are the compiler's or counted from its text; nothing is run. A loop counts as often as it goes round.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

BYTES = {"pred": 1, "bf16": 2, "token": 0} | {f"{kind}{bits}": bits // 8 for kind in "fsu" for bits in (8, 16, 32, 64)}
BYTES |= {"s4": 0.5, "u4": 0.5, "c64": 8, "c128": 16}

# Its dtype, its axes, and what follows them in braces: the layout, and the memory that it lies in where that is not the
# device's: S(1) is a TPU's VMEM, S(5) the host's.
ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{[^}]*?(S\([1-9]\))?\})?")
COMPUTATION = re.compile(r"(?:ENTRY )?%(\S+) \(")

# Opcodes that run nothing: they name, group or rearrange what is there, or wait for what has been started.
NO_KERNEL = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"),
    *("opt-barrier", "add-dependency", "copy-done", "slice-done", "all-reduce-done", "all-gather-done"),
    *("collective-permute-done", "async-done", "async-update", "recv-done", "send-done"),
}
# Custom calls of XLA:TPU that run nothing: they reserve memory, or name what is there.
NO_CALL = ("AllocateBuffer", "ConcatBitcast", "AssumeGatherIndicesInBound")
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
MOVES = {
    "copy-start": 0,
    "slice-start": 1,
}  # beside a transfer: which part of its result is new; another is its operand
SLICES = {"dynamic-slice", "slice", "gather"}  # read what they return, of an operand that may be far larger


@dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    shape: the text of its type. operands: their names; of a constant its value, of a parameter its number.
    attributes: what follows the operands.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool

    def attribute(self, name: str) -> str:
        """The name of the computation that an attribute, such as "calls" or "body", names; "" if there is none."""
        match = re.search(rf"\b{name}=%([^\s,}}]+)", self.attributes)
        return match[1] if match else ""

    @property
    def target(self) -> str:
        """What a custom call calls; "" for other instructions."""
        match = re.search(r'custom_call_target="([^"]+)"', self.attributes)
        return match[1] if match else ""

    def number(self, pattern: str) -> int | None:
        match = re.search(pattern, self.attributes)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Kernel:
    """One kernel of a step.

    kind: "convolution", "matrix product", "reduce", "slice update", "copy", "collective", "random" or "elementwise".
    times: how often a step runs it; a fraction if it runs once for many steps. size: the bytes that it reads from the
    device's memory and writes to it each time; of a collective all that it sends and receives, wherever that lies.
    cycles: XLA:TPU's own estimate, each time; None on a GPU. source: the line of our code.
    """

    name: str
    kind: str
    times: float
    size: float
    dtype: str
    cycles: int | None
    source: str


@dataclass(frozen=True)
class Module:
    """A compiled program: its computations, by name, each a dictionary of instructions by name."""

    computations: dict[str, dict[str, Instruction]]
    entry: str
    frames: dict[int, tuple[str, int]] = field(
        repr=False
    )  # of a stack frame: "file:line", and the frame that called it

    def kernels(self, steps: int) -> list[Kernel]:
        """The kernels of one training step, of a program that makes this many in a call."""
        return [self._kernel(instruction, times / steps) for instruction, times in self._run(self.entry, 1)]

    def _run(self, computation: str, times: float) -> Iterator[tuple[Instruction, float]]:
        for instruction in self.computations[computation].values():
            if instruction.opcode == "while":
                yield from self._run(instruction.attribute("body"), times * self.trips(instruction))
            elif instruction.opcode == "call":
                yield from self._run(instruction.attribute("to_apply"), times)
            elif instruction.opcode not in NO_KERNEL and instruction.target not in NO_CALL:
                yield instruction, times

    def trips(self, loop: Instruction) -> int:
        """How often a loop goes round. Raises ValueError where its text does not tell."""
        if (known := loop.number(r'"known_trip_count":\{"n":"(\d+)"')) is not None:
            return known
        limits = {
            instruction.operands[0]
            for instruction in self._within(loop.attribute("condition"))
            if instruction.opcode == "constant" and instruction.shape.startswith(("s32[]", "u32[]"))
        }
        if len(limits) != 1:
            raise ValueError(f"{loop.name}: the condition of this loop compares with {sorted(limits)}")
        return int(limits.pop())

    def _within(self, computation: str) -> Iterator[Instruction]:
        """The instructions of a computation, and of those that its fusions call."""
        for instruction in self.computations.get(computation, {}).values():
            yield instruction
            if instruction.opcode in ("fusion", "async-start"):
                yield from self._within(instruction.attribute("calls"))

    def _kernel(self, instruction: Instruction, times: float) -> Kernel:
        inner = list(self._within(instruction.attribute("calls")))
        return Kernel(
            instruction.name,
            _kind(instruction, inner),
            times,
            self._size(instruction),
            _dtype(instruction),
            instruction.number(r'"estimated_cycles":"(\d+)"'),
            self._source(instruction),
        )

    @cached_property
    def _shapes(self) -> dict[str, dict[str, str]]:
        return {name: {i.name: i.shape for i in body.values()} for name, body in self.computations.items()}

    @cached_property
    def _homes(self) -> dict[str, str]:
        """The computation that each instruction stands in; names are unique in a module."""
        return {name: computation for computation, body in self.computations.items() for name in body}

    def _size(self, instruction: Instruction) -> float:
        """Bytes read and written: of a slice what is touched, of an update in place what is new."""
        home = self._shapes[self._homes[instruction.name]]
        if instruction.opcode in SLICES:
            return 2 * size(instruction.shape)
        if instruction.opcode == "dynamic-update-slice":
            return 2 * size(home[instruction.operands[1]])
        if instruction.opcode == "fusion":
            body = self.computations[instruction.attribute("calls")]
            return _read(self.computations, body) + _written(self.computations, body)
        operands = [home[operand] for operand in set(instruction.operands) if operand in home]
        if instruction.opcode in MOVES:
            new = _parts(instruction.shape)[MOVES[instruction.opcode]]
            return size(new) + (size(new, everywhere=True) if size(operands[0]) else 0)
        everywhere = _is_collective(instruction)
        read = sum(size(shape, everywhere=everywhere) for shape in operands)
        if instruction.opcode.endswith("-start"):  # its result names its operand, too
            return 2 * read
        return read + size(instruction.shape, everywhere=everywhere)

    def _source(self, instruction: Instruction) -> str:
        """The innermost line of this package's code, else of any."""
        frame, first = instruction.number(r"stack_frame_id=(\d+)"), ""
        while frame in self.frames:
            line, frame = self.frames[frame]
            first = first or line
            _, ours, rest = line.rpartition("/ablations/")
            if ours and "site-packages" not in rest:  # another package's, in an environment inside a folder of our name
                return rest
        return first


def size(shape: str, *, everywhere: bool = False) -> float:
    """The bytes in the device's memory of an array or of a tuple of arrays; with `everywhere`, those elsewhere, too."""
    total = 0.0
    for dtype, axes, elsewhere in ARRAY.findall(shape):
        if elsewhere and not everywhere:
            continue
        elements = 1
        for axis in filter(None, axes.split(",")):
            elements *= int(axis)
        total += elements * BYTES.get(dtype, 1)  # the types of 8 bits have many names
    return total


def read(text: str) -> Module:
    """Read a module's text, as `Compiled.as_text` gives it."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", {}
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY")) and (head := COMPUTATION.match(line)):
            current = computations.setdefault(head[1], {})
            entry = head[1] if line.startswith("ENTRY") else entry
        elif " = " in line and line.lstrip().startswith(("%", "ROOT %")):
            instruction = _instruction(line.strip())
            current[instruction.name] = instruction
    return Module(computations, entry, _frames(text))


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" = ")
    shape, rest = _balanced(rest) if rest.startswith("(") else rest.split(" ", 1)
    opcode, parenthesis, rest = rest.strip().partition("(")
    operands, attributes = _balanced(parenthesis + rest)
    inside = operands[1:-1]
    names = (inside,) if opcode in ("constant", "parameter") else tuple(re.findall(r"%([^\s,()]+)", inside))
    return Instruction(
        name.removeprefix("ROOT ").removeprefix("%"), shape, opcode, names, attributes, line.startswith("ROOT")
    )


def _balanced(text: str) -> tuple[str, str]:
    """Split after the parenthesis that closes the first one."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[: position + 1], text[position + 1 :]
    raise ValueError(f"a parenthesis is not closed: {text[:80]}")


def _frames(text: str) -> dict[int, tuple[str, int]]:
    tables = {
        name: dict(re.findall(r"^(\d+) (.+)$", rows, re.MULTILINE))
        for name, rows in re.findall(r"^(FileNames|FileLocations|StackFrames)\n((?:\d+ .*\n)*)", text, re.MULTILINE)
    }
    frames = {}
    for number, row in tables.get("StackFrames", {}).items():
        location, parent = map(int, re.findall(r"=(\d+)", row))
        where = dict(re.findall(r"(\w+)=(\d+)", tables["FileLocations"][str(location)]))
        file = tables["FileNames"][where["file_name_id"]].strip('"')
        frames[int(number)] = (f"{file}:{where['line']}", parent - 1)  # XLA counts the callers from 1, with 1 for none
    return frames


def _parts(shape: str) -> list[str]:
    """The arrays of a tuple, or the one array."""
    return [match[0] for match in ARRAY.finditer(shape)]


def _is_collective(instruction: Instruction) -> bool:
    return instruction.opcode.removesuffix("-start") in COLLECTIVES


def _kind(instruction: Instruction, inner: list[Instruction]) -> str:
    opcodes = {i.opcode for i in inner} | {instruction.opcode}
    if _is_collective(instruction) or any(map(_is_collective, inner)):
        return "collective"
    if "convolution" in opcodes or "$conv" in instruction.attributes:
        return "convolution"
    if "dot" in opcodes or "gemm" in instruction.attributes:
        return "matrix product"
    if opcodes & {"reduce", "reduce-window"}:
        return "reduce"
    if "dynamic-update-slice" in opcodes:
        return "slice update"
    if "rng-bit-generator" in opcodes:
        return "random"
    if opcodes <= {"copy", "copy-start", "transpose", "fusion", "parameter", "bitcast", "constant"}:
        return "copy"
    return "elementwise"


def _dtype(instruction: Instruction) -> str:
    match = ARRAY.search(instruction.shape)
    return match[1] if match else ""


def _read(computations: dict[str, dict[str, Instruction]], body: dict[str, Instruction]) -> float:
    """Bytes that a fusion reads: of a parameter that is only sliced, the slices; of one updated in place, none."""
    parameters = [instruction for instruction in body.values() if instruction.opcode == "parameter"]
    return sum(_touched(computations, body, parameter) for parameter in parameters)


def _touched(
    computations: dict[str, dict[str, Instruction]], body: dict[str, Instruction], value: Instruction
) -> float:
    """Bytes that a fusion reads of a value inside it, seen through bitcasts and through the fusions in the fusion."""
    whole, total = size(value.shape), 0.0
    users = [instruction for instruction in body.values() if value.name in instruction.operands]
    for user in users:
        if user.opcode == "bitcast" and not user.is_root:
            total += _touched(computations, body, user)
        elif user.opcode in SLICES and user.operands[0] == value.name:
            total += min(size(user.shape, everywhere=True), whole)  # a slice has no layout of its own to lie elsewhere
        elif user.opcode == "fusion":
            inner = computations[user.attribute("calls")]
            numbers = {str(i) for i, operand in enumerate(user.operands) if operand == value.name}
            parameters = [i for i in inner.values() if i.opcode == "parameter" and i.operands[0] in numbers]
            total += sum(_touched(computations, inner, parameter) for parameter in parameters)
        elif not (user.opcode == "dynamic-update-slice" and user.operands[0] == value.name):
            return whole
    return min(total, whole) if users else whole


def _written(computations: dict[str, dict[str, Instruction]], body: dict[str, Instruction]) -> float:
    """Bytes that a fusion writes: of an update in place, what is new."""
    [root] = [instruction for instruction in body.values() if instruction.is_root]
    total = 0.0
    for name in root.operands if root.opcode == "tuple" else [root.name]:
        result = body[name]
        while result.opcode == "bitcast" and result.operands[0] in body:
            result = body[result.operands[0]]
        if result.opcode == "dynamic-update-slice":
            total += size(body[result.operands[1]].shape) if size(result.shape) else 0
        elif result.opcode == "fusion":
            total += _written(computations, computations[result.attribute("calls")])
        else:
            total += size(result.shape)
    return total
