"""Makes the files beside it with PyTorch, which the tests do not need: python tests/weights/files/make.py

Every tensor holds 0, 1, 2, ... in its own order, cut to its type.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parent


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)
        self.head = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.head.weight
        for tensor in self.state_dict().values():
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))


def unusual() -> OrderedDict[str, torch.Tensor]:
    whole = torch.arange(24).reshape(2, 3, 4)
    types = "float64 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool"
    made = OrderedDict((name, torch.arange(16).to(getattr(torch, name))) for name in types.split())
    made["transposed"] = whole.float().permute(2, 0, 1)
    made["sliced"] = whole.float()[1:, ::2, 1:3]
    made["expanded"] = torch.zeros(1).expand(5)
    made["scalar"] = torch.zeros(())
    made["empty"] = torch.zeros(0, 3)
    made["channels_last"] = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    return made


if __name__ == "__main__":
    net = Net()
    weights = net.state_dict()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    torch.save(weights, FOLDER / "net.pth")
    torch.save(weights, FOLDER / "net_before_1_6.pth", _use_new_zipfile_serialization=False)
    torch.save(weights, FOLDER / "net_protocol_5.pth", pickle_protocol=5)
    checkpoint = {"epoch": 3, "state_dict": weights, "best": torch.tensor(0.5), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, FOLDER / "checkpoint.pth")
    torch.save(unusual(), FOLDER / "unusual.pth")
    torch.save(unusual(), FOLDER / "unusual_before_1_6.pth", _use_new_zipfile_serialization=False)
    torch.save(net, FOLDER / "whole_module.pth")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), FOLDER / "torchscript.pt")
