"""One model under suspicion: programs made of it at any point of its pipeline, and the log of what they were found to
be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cnnc.bisection.finding import Judgement, Step
from cnnc.bisection.partial_pipeline import PartialPipeline, Point
from cnnc.bisection.search import Verdict
from cnnc.compiler import CompiledModel, History, compile_graph
from cnnc.errors import OptionError, UserError
from cnnc.ir import Graph, Notes, clone_graph
from cnnc.lower import lower
from cnnc.lower.selection import Selection
from cnnc.options import Options, check_precision
from cnnc.passes import Pass, pipeline
from cnnc.runtime.cuda.target import is_cuda
from cnnc.targets import parse_target
from cnnc.tuning import known_machine

OnStep = Callable[[Step], None]


class Trial:
    """Compiles the states that a search asks for, and keeps the log.

    Args:
        source: an imported or optimised graph; it is not changed.
        options: how it is compiled. Level 3 is refused: what it measures differs from build to build.
        passes: the pipeline instead of the level's.
        on_step: told of each step.

    Raises:
        OptionError: the level is 3, or the target no CPU.
    """

    def __init__(
        self, source: Graph, options: Options, passes: Sequence[Pass] | None = None, on_step: OnStep | None = None
    ) -> None:
        if options.level == 3:
            hint = "use level 2; cnnc tune shows what was measured"
            raise OptionError(
                "level 3 chooses by measurements, which differ from build to build", where="-O", hint=hint
            )
        self.target = parse_target(options.target)
        if is_cuda(self.target):
            raise OptionError("programs for GPUs are not bisected", where="target", hint="use cnnc verify --emulate")
        check_precision(options.precision, self.target)
        self.source = source
        self.options = options
        chosen = tuple(passes) if passes is not None else pipeline(options.level, block=self.target.lanes)
        reached = [index for index, item in enumerate(chosen, 1) if item.ensures == source.stage]
        self.pipeline = PartialPipeline(source, chosen[max(reached, default=0) :])
        self.steps: list[Step] = []
        self.compiles = 0
        self._on_step = on_step

    def judged(self, what: str, judgement: Callable[[], Judgement]) -> Judgement:
        """The judgement of a state, which is logged; what fails to compile or to run is bad.

        Raises:
            UserError: the user's command, inputs or options are wrong.
        """
        try:
            found = judgement()
        except UserError:
            raise
        except Exception as error:  # Faulty passes and kernels are what is searched for: all that they raise counts.
            first = str(error).partition("\n")[0]
            found = Judgement(Verdict.BAD, f"{type(error).__name__}: {first}")
        return self.log(what, found)

    def log(self, what: str, judgement: Judgement) -> Judgement:
        """Keep a judgement as a step."""
        step = Step(what, judgement)
        self.steps.append(step)
        if self._on_step is not None:
            self._on_step(step)
        return judgement

    def whole(self) -> CompiledModel:
        """The program of the whole pipeline."""
        return self.compiled(Point(len(self.pipeline.passes)))

    def compiled(self, point: Point) -> CompiledModel:
        """The program at a point of the pipeline, with the passes that no program can do without."""
        graph, notes = self.pipeline.run(point, to_placement=True)
        return self.lowered(graph, notes)

    def lowered(
        self,
        graph: Graph,
        notes: Notes | None = None,
        *,
        pinned: Mapping[str, str] | None = None,
        changes: Mapping[str, str | int] | None = None,
    ) -> CompiledModel:
        """The program of a placed graph.

        Args:
            pinned: see ``cnnc.lower.selection.Selection``.
            changes: options that kernels are chosen by, instead of the trial's.
        """
        options = replace(self.options, **(changes or {}))  # type: ignore[arg-type]
        selection = Selection(machine=known_machine(), pinned=pinned or {})
        self.compiles += 1
        lowered = lower(graph, self.target, selection, options.numerics)
        history = History(notes or Notes(), (), {node.name: node.op for node in self.source.nodes})
        return CompiledModel(graph, clone_graph(graph), lowered, history, options, self.target, None, compile_graph)
