"""``ProgramBuilder``: turns placed values into buffers and nodes into steps.

A value lives in a ``Place``: a buffer and a byte offset. Ops that only rename elements (reshape of a plain tensor) give
their output the place of their input; no step is emitted. Graph outputs are written where the caller gets them, unless
their place is shared or an input or constant: then a copy is added at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from cnnc.dims import Dim, product, symbols
from cnnc.errors import InternalError
from cnnc.ir import Array, Graph, Node, Value
from cnnc.lower.channel_ranges import lanes_of, plan_channel_ranges
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.selection import Candidate, LayerTiming
from cnnc.ops import OPS
from cnnc.runtime.cpu import copy_strided
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.executable import Executable
from cnnc.runtime.inplace import inplace_pairs
from cnnc.runtime.kernel import KernelDef, Target, Variant
from cnnc.runtime.kernel_table import kernel_table
from cnnc.runtime.program import (
    Arg,
    Buffer,
    BufferArg,
    Call,
    Choice,
    HostStep,
    KernelStep,
    Plain,
    Port,
    Program,
    Sizes,
    Step,
    Tensor,
)
from cnnc.types import TensorType

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies: its physical elements from byte ``offset`` of a buffer.

    ``gap`` is not 0 for a range of channels of a larger tensor: the elements between one image's and the next.
    """

    buffer: int
    type: TensorType
    offset: Dim = 0
    gap: Dim = 0


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program with its constants, and per node the kernel chosen and the ones refused.

    ``numerics`` and ``machine`` are what the decisions depend on beside the graph; ``target`` is a GPU's, or None for
    this machine's CPU. ``places`` says by name where each value lies, from the step that computes it to its last use.
    """

    program: Program
    constants: tuple[Array, ...]
    decisions: tuple[Decision, ...]
    numerics: Numerics = DEFAULT_NUMERICS
    machine: Machine = USUAL_MACHINE
    target: Target | None = None
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def executable(self) -> Executable:
        """Program and constants, as the runtime takes them."""
        constants = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in self.constants]
        return Executable(self.program, tuple(constants), target=self.target)


@dataclass(frozen=True, slots=True)
class Decision:
    """How a node was lowered.

    Attributes:
        value: name of the node's first output, which no other node has.
        node: name of the node; a conversion of a layer's result has the layer's.
        op: of the graph.
        loc: where in the model it came from.
        chosen: a rule's name.
        refused: (rule, reason).
        timing: what was measured of the node's layer; None where the cost model decided.
        candidates: the tilings of the rules that took the node, the cost model's choice first; none where that rule
            has no tilings.
        steps: numbers of the program's steps that compute it; none where its result is its operand under another name.
    """

    value: str
    node: str
    op: str
    loc: tuple[str, ...]
    chosen: str
    refused: tuple[tuple[str, str], ...]
    timing: LayerTiming | None = None
    candidates: tuple[Candidate, ...] = ()
    steps: tuple[int, ...] = ()


class ProgramBuilder:
    """Collects buffers, constants and steps while the nodes of a placed graph are lowered in order.

    Args:
        graph: a graph in stage ``placed``.
        target: the CPU whose vector width the packed layouts follow.
        numerics: what kernels may do to the last bits.
        machine: what costs are estimated for.
    """

    def __init__(
        self,
        graph: Graph,
        target: Target,
        numerics: Numerics = DEFAULT_NUMERICS,
        machine: Machine = USUAL_MACHINE,
    ) -> None:
        self.graph = graph
        self.target = target
        self.numerics = numerics
        self.machine = machine
        self._kernel_def: Callable[[str], KernelDef] = kernel_table(target)
        self._buffers: list[Buffer] = []
        self._constants: list[Array] = []
        self._constant_buffers: dict[tuple[str, int, bytes], list[tuple[Array, int]]] = {}
        self._steps: list[Step] = []
        self._places: dict[Value, Place] = {}
        self._conv_depths: dict[bool, int] = {}
        self._made: dict[Hashable, Any] = {}
        self._ranges = plan_channel_ranges(graph)
        self._known_sizes = {name for value in graph.inputs for dim in value.type.shape for name in symbols(dim)}
        for value in graph.inputs:
            self._places[value] = Place(self._buffer(value.name, "input", value.type.bytes), value.type)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made the first time that ``key`` is asked for: facts that several rules need."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def conv_depth(self, has_window: bool) -> int:
        """The most convolutions with a window, or the most 1x1 ones, on one path through the graph, at least 1."""
        if has_window not in self._conv_depths:
            depths: dict[Value, int] = {}
            for node in self.graph.nodes:
                before = max((depths.get(value, 0) for value in node.inputs if value is not None), default=0)
                counts = node.op == "conv" and any(size != 1 for size in node.input(1).type.shape[2:]) == has_window
                depths |= dict.fromkeys(node.outputs, before + counts)
            self._conv_depths[has_window] = max([1, *depths.values()])
        return self._conv_depths[has_window]

    # ---- places -----------------------------------------------------------------------------------------------------

    def place(self, value: Value) -> Place:
        """Where ``value`` lies. Constants are stored on first use; symbolic contents are materialised."""
        if value in self._places:
            return self._places[value]
        if value.array is not None:
            place = Place(self.constant(value.array, value.name), value.type)
        elif value.producer is not None and value.producer.op == "dims":
            place = self._materialise(value)
        else:
            raise InternalError(f"%{value.name} is read before it is lowered")
        self._places[value] = place
        return place

    def allocate(self, value: Value) -> Place:
        """Storage for an output of the node being lowered: new, or its range of the tensor that it lies in."""
        if value in self._places:
            return self._places[value]
        found = self._ranges.get(value)
        if found is None:
            place = Place(self._buffer(value.name, "arena", value.type.bytes), value.type)
        else:
            place = self._within(self.allocate(found.root), value, found.first_lane)
        self._places[value] = place
        return place

    def _within(self, root: Place, value: Value, first_lane: int) -> Place:
        """Lanes ``first_lane ...`` of each image of ``root``."""
        pixels = product(value.type.shape[2:])
        channels = root.type.shape[1]
        assert isinstance(channels, int)
        gap = (root.type.layout.physical_channels(channels) - lanes_of(value)) * pixels + root.gap
        return Place(root.buffer, value.type, root.offset + pixels * (first_lane * value.type.dtype.size), gap)

    def place_within(self, value: Value, source: Value, first_lane: int) -> None:
        """``value`` is lanes ``first_lane ...`` of ``source``: no step."""
        self._places[value] = self._within(self.place(source), value, first_lane)

    def has_gaps(self, value: Value) -> bool:
        """Whether the images of ``value`` lie apart; also known for an output that is not allocated yet."""
        if value in self._ranges:
            return True
        place = self._places.get(value)
        return place is not None and place.gap != 0

    def gap(self, value: Value) -> Dim:
        """Elements between the images of a value that has a place, beyond its own."""
        return self.place(value).gap

    def alias(self, output: Value, source: Value, offset: Dim = 0) -> None:
        """``output`` is the elements of ``source`` from byte ``offset`` on, under another shape."""
        place = self.place(source)
        if place.gap != 0:
            raise InternalError(f"%{source.name} is a range of channels and cannot be renamed")
        self._places[output] = Place(place.buffer, output.type, place.offset + offset)

    def constant(self, array: Array, name: str = "packed") -> int:
        """Buffer index of constant content; equal bytes are stored once."""
        array = np.ascontiguousarray(array)
        content = array.reshape(-1).view(np.uint8)
        alike = self._constant_buffers.setdefault((array.dtype.str, array.nbytes, content[:64].tobytes()), [])
        for known, buffer in alike:
            if np.array_equal(known, content):
                return buffer
        self._constants.append(array)
        buffer = self._buffer(name, "constant", array.nbytes, len(self._constants) - 1)
        alike.append((content, buffer))
        return buffer

    def temporary(self, name: str, size: Dim) -> int:
        """Arena storage that only the current step uses."""
        return self._buffer(name, "arena", size)

    def _buffer(self, name: str, kind: str, size: Dim, constant: int = -1) -> int:
        self._buffers.append(Buffer(name, kind, size, constant))
        return len(self._buffers) - 1

    def _materialise(self, value: Value) -> Place:
        place = Place(self._buffer(value.name, "arena", value.type.bytes), value.type)
        target = Tensor(place.buffer, value.type.shape, value.type.dtype)
        self._steps.append(HostStep("identity", (), (self._sizes(value),), (target,), label=value.name, op="dims"))
        return place

    def _sizes(self, value: Value) -> Sizes:
        sizes = value.fact.sizes()
        if sizes is None:
            raise InternalError(f"%{value.name} has no symbolic content")
        return Sizes(sizes, scalar=value.type.rank == 0)

    def unknown_sizes(self, node: Node) -> list[str]:
        """Symbols in the node's output shapes that neither an input nor an earlier host step binds."""
        shapes = [dim for value in node.outputs for dim in value.type.shape]
        return sorted(name for dim in shapes for name in symbols(dim) if name not in self._known_sizes)

    # ---- steps ------------------------------------------------------------------------------------------------------

    @property
    def step_count(self) -> int:
        """Steps so far."""
        return len(self._steps)

    def argument(self, value: Value, *, gaps: bool = False) -> BufferArg:
        """Address of a value's first element; ``gaps`` says that the kernel steps over them.

        Raises:
            InternalError: the value has gaps and the kernel would not step over them.
        """
        place = self.place(value)
        if place.gap != 0 and not gaps:
            raise InternalError(f"%{value.name} is a range of channels, which its reader or writer cannot step over")
        return BufferArg(place.buffer, place.offset)

    def result(self, value: Value, *, gaps: bool = False) -> BufferArg:
        """Address of an output of the node being lowered, which is allocated now."""
        self.allocate(value)
        return self.argument(value, gaps=gaps)

    def call(self, variant: Variant, buffers: Mapping[str, BufferArg | int], sizes: Mapping[str, Dim]) -> Call:
        """A kernel call from named arguments; items and scratch come from the kernel's own definition."""
        kernel = self._kernel_def(variant.kernel)
        if set(buffers) != set(kernel.buffers) or set(sizes) != set(kernel.sizes):
            wrong = sorted((set(buffers) ^ set(kernel.buffers)) | (set(sizes) ^ set(kernel.sizes)))
            raise InternalError(f"{variant}: arguments {wrong} do not fit {kernel.args}")
        args: tuple[Arg, ...] = (*(buffers[name] for name in kernel.buffers), *(sizes[name] for name in kernel.sizes))
        options = variant.options
        return Call(variant, args, kernel.items(sizes, options), kernel.scratch_bytes(sizes, options))

    def kernel_step(self, node: Node, calls: Sequence[Call], *, label: str = "") -> None:
        """A step of unconditional calls for ``node``."""
        self.choice_step(node, (Choice(tuple(calls)),), label=label)

    def choice_step(self, node: Node, choices: tuple[Choice, ...], *, label: str = "") -> None:
        """A step with guarded alternatives; what it reads and writes follows from the kernels' footprints."""
        reads: dict[int, None] = {}
        writes: dict[int, None] = {}
        for choice in choices:
            for call in choice.calls:
                written = set(self._kernel_def(call.variant.kernel).writes)
                for name, arg in zip(self._kernel_def(call.variant.kernel).args, call.args):
                    if isinstance(arg, BufferArg):
                        (writes if name in written else reads)[arg.buffer] = None
        macs = self._macs(node)
        text = label or ", ".join(node.loc) or node.name
        inplace = self._inplace(choices)
        self._steps.append(KernelStep(choices, tuple(reads), tuple(writes), text, node.op, macs, inplace))

    def _inplace(self, choices: Sequence[Choice]) -> tuple[tuple[int, int], ...]:
        """Pairs that every choice allows; a later call of a choice could read what an earlier one has overwritten."""
        if any(len(choice.calls) != 1 for choice in choices):
            return ()
        calls = [choice.calls[0] for choice in choices]
        allowed = [
            inplace_pairs(self._kernel_def(call.variant.kernel), call.args, call.variant.options) for call in calls
        ]
        return tuple(
            pair
            for pair in allowed[0]
            if all(pair in others for others in allowed[1:])
            and all(self._buffers[buffer].kind == "arena" for buffer in pair)
        )

    def host_step(self, node: Node) -> None:
        """Run the node's NumPy reference on the caller."""
        inputs: list[Tensor | Sizes | None] = []
        for value in node.inputs:
            if value is None:
                inputs.append(None)
            elif value not in self._places and value.producer is not None and value.producer.op == "dims":
                inputs.append(self._sizes(value))
            else:
                inputs.append(self._tensor(value))
        outputs: list[Tensor | None] = []
        for value in node.outputs:
            self.allocate(value)
            outputs.append(self._tensor(value))
        attributes: tuple[tuple[str, Plain], ...] = tuple(node.attrs.keywords().items())
        self._known_sizes.update(name for value in node.outputs for dim in value.type.shape for name in symbols(dim))
        label = ", ".join(node.loc) or node.name
        self._steps.append(HostStep(node.op, attributes, tuple(inputs), tuple(outputs), label, node.op))

    def _tensor(self, value: Value) -> Tensor:
        place = self.place(value)
        if place.type.layout.is_blocked:
            raise InternalError(f"%{value.name} is blocked, but a host op reads or writes it")
        return Tensor(place.buffer, place.type.shape, place.type.dtype, place.offset)

    def _macs(self, node: Node) -> Dim:
        macs = OPS[node.op].macs
        if macs is None:
            return 0
        inputs = [None if value is None else value.type for value in node.inputs]
        return macs(node.attrs, inputs, [value.type for value in node.outputs])

    # ---- result -----------------------------------------------------------------------------------------------------

    def finish(self, decisions: Sequence[Decision]) -> Lowered:
        """The program. Arena buffers that are exactly one graph output become output buffers."""
        ports: list[Port] = []
        taken: set[int] = set()
        for name, value in zip(self.graph.output_names, self.graph.outputs, strict=True):
            place = self.place(value)
            buffer = self._buffers[place.buffer]
            fits = buffer.kind == "arena" and place.offset == 0 and buffer.bytes == value.type.bytes
            if fits and place.buffer not in taken:
                self._buffers[place.buffer] = replace(buffer, kind="output", name=name)
                index = place.buffer
            else:
                index = self._copy_out(name, value)
            taken.add(index)
            ports.append(Port(name, index, value.type.shape, value.type.dtype))
        inputs = tuple(
            Port(value.name, self._places[value].buffer, value.type.shape, value.type.dtype)
            for value in self.graph.inputs
        )
        program = Program(inputs, tuple(ports), tuple(self._buffers), tuple(self._steps))
        target = self.target if is_cuda(self.target) else None
        constants = tuple(self._constants)
        places = {value.name: place for value, place in self._places.items()}
        return Lowered(program, constants, tuple(decisions), self.numerics, self.machine, target, places)

    def _copy_out(self, name: str, value: Value) -> int:
        index = self._buffer(name, "output", value.type.bytes)
        if is_cuda(self.target):
            # A step on the host would copy the tensor there and back.
            count, size = product(value.type.shape), value.type.dtype.size
            buffers = {"x": self.argument(value), "y": BufferArg(index)}
            call = self.call(
                Variant.of("copy.strided", size=size), buffers, copy_strided.arguments((count,), (1,), (1,))
            )
            reads = (self.place(value).buffer,)
            self._steps.append(KernelStep((Choice((call,)),), reads, (index,), name, "identity"))
            return index
        target = Tensor(index, value.type.shape, value.type.dtype)
        self._steps.append(HostStep("identity", (), (self._tensor(value),), (target,), label=name, op="identity"))
        return index
