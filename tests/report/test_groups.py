"""Modules that nodes belong to, by the names that exporters write."""

from __future__ import annotations

import pytest

from cnnc.ir.name_groups import group_of


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("Conv_12", ""),
        ("", ""),
        ("/c1/Conv", "c1"),
        ("/layer1/layer1.0/conv1/Conv", "layer1/0/conv1"),
        ("/features/features.3/conv/conv.0/conv.0.1/BatchNormalization", "features/3/conv/0/1"),
        ("layer1.0.conv1 (resnet.py:101)", "layer1/0"),
        ("relu (lenet.py:26)", ""),
        ("a//b", "a"),
    ],
)
def test_group(name: str, group: str) -> None:
    assert group_of(name) == group
