"""Facts of GPUs: which device an architecture stands for, and how many blocks a multiprocessor holds."""

import pytest

from cnnc.errors import OptionError
from cnnc.runtime.cuda.device_facts import A100, DEVICES, H100, T4, device_named, facts_of
from cnnc.runtime.cuda.target import cuda_target


@pytest.mark.parametrize(
    ("architecture", "device"), [("sm_75", T4), ("sm_80", A100), ("sm_89", A100), ("sm_90", H100), ("sm_120", H100)]
)
def test_newest_device_that_is_no_newer(architecture, device):
    assert facts_of(cuda_target(architecture)) is device


def test_peak_rates_are_the_data_sheets():
    assert [round(device.flops / 1e12, 1) for device in DEVICES] == [8.1, 19.5, 66.9]


@pytest.mark.parametrize(
    ("threads", "registers", "shared_bytes", "blocks"),
    [(256, 128, 20 << 10, 2), (256, 130, 20 << 10, 1), (64, 32, 0, 32), (1024, 32, 0, 2), (64, 40, 48 << 10, 3)],
)
def test_resident_blocks(threads, registers, shared_bytes, blocks):
    assert A100.resident_blocks(threads, registers, shared_bytes) == blocks


def test_a_block_that_does_not_fit():
    assert T4.resident_blocks(1024, 128, 0) == 0


def test_names_of_devices():
    assert device_named("a100") is A100
    with pytest.raises(OptionError, match="K80"):
        device_named("K80")
