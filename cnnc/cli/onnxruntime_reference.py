"""onnxruntime as the judge: the model as it is written, with graph optimisations disabled unless asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnc.errors import OptionError

Array = Any


def import_onnxruntime() -> Any:
    """The module.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise OptionError("onnxruntime is not installed", hint="pip install onnxruntime") from error
    return onnxruntime


def reference_results(
    path: Path, feeds: Mapping[str, Array], capture: Sequence[str] = (), threads: int = 0, *, optimised: bool = False
) -> dict[str, Array]:
    """Outputs by name, and the tensors named in ``capture``.

    Args:
        threads: 0 for onnxruntime's own choice.
        optimised: with its graph optimisations, which make integer ops of what stands between dequantize and quantize.

    Raises:
        OptionError: onnxruntime is not installed, or refuses the model or the inputs.
    """
    module = import_onnxruntime()
    options = module.SessionOptions()
    levels = module.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    source = _with_outputs(path, capture) if capture else str(path)
    try:
        session = module.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_outputs()]
        known = {port.name for port in session.get_inputs()}
        results = session.run(names, {name: array for name, array in feeds.items() if name in known})
    except Exception as error:  # onnxruntime raises classes of its own, with RuntimeError as their only base
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise OptionError(
            f"onnxruntime refuses it: {first}", where=str(path), hint="compare with --exact --no-onnxruntime"
        ) from error
    return dict(zip(names, results, strict=True))


def node_outputs(path: Path) -> list[str]:
    """Names of the tensors that the main graph's nodes produce, in order."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return [name for node in model.graph.node for name in node.output if name]


def _with_outputs(path: Path, capture: Sequence[str]) -> bytes:
    import onnx

    model = onnx.load(str(path))
    present = {output.name for output in model.graph.output}
    for name in capture:
        if name not in present:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        data: bytes = model.SerializeToString()
    except ValueError as error:
        raise OptionError(
            "the model is too large to add outputs to it", where="--layers", hint="leave out --layers"
        ) from error
    return data
