"""Which precisions a target computes in, and what is said where it does not."""

from __future__ import annotations

import pytest

from cnnc.errors import OptionError
from cnnc.lower.numerics import PRECISION_CHOICES
from cnnc.options import Options, check_precision
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.jit.target import x86_target


@pytest.mark.parametrize("precision", ["tf32", "f16"])
def test_cpus_refuse_types_of_tensor_cores(precision):
    with pytest.raises(OptionError, match=rf"precision {precision} is for GPUs.*\n?.*cuda:sm_80"):
        check_precision(precision, x86_target("avx512", frozenset({"avx512_bf16"})))


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_turing_has_none_but_f16(precision):
    with pytest.raises(OptionError, match=f"tensor cores multiply {precision} from sm_80 on, this is sm_75"):
        check_precision(precision, cuda_target("sm_75"))
    check_precision("f16", cuda_target("sm_75"))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("precision", PRECISION_CHOICES)
def test_newer_gpus_have_all(precision, architecture):
    check_precision(precision, cuda_target(architecture))


@pytest.mark.parametrize("precision", ["tf32", "f16"])
@pytest.mark.parametrize("level", [0, 1, 3])
def test_levels_that_keep_every_bit_take_none(level, precision):
    with pytest.raises(OptionError, match=f"level {level} takes no precision={precision}"):
        Options(level=level, precision=precision)
