"""Prune a trained model: cnnc says which weights go, PyTorch trains those that stay, cnnc runs the result.

    pip install cnnc[torch]
    python examples/pruning_pytorch.py DATA                    90 % of ResNet-14, into resnet14_fashion-bn.pruned.onnx
    python examples/pruning_pytorch.py DATA --model examples/models/lenet5_fashion.onnx --sparsity 0.95 --epochs 40
    python examples/pruning_pytorch.py DATA --pattern block4 -o blocks.onnx
    python examples/pruning_pytorch.py DATA --pattern channel --sparsity 0.3 -o smaller.onnx
    python examples/pruning_pytorch.py DATA --gradients g.npz --epochs 0    what cnnc prune --criterion taylor reads

DATA is a folder with Fashion-MNIST, see ``fashion_mnist.py``.

The share of zeros grows while the network trains, fast at first: every few steps cnnc chooses among the weights as they
then are. (Zhu and Gupta, To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression, 2017.) The
network learns the classes, and also the scores of the dense model. (Hinton et al., Distilling the Knowledge in a Neural
Network, 2015.) Channels go at once, before the training: the network is smaller then, and nothing of it is 0.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from fashion_mnist import BLACK, Images, load
from onnx_in_pytorch import Network
from torch import Tensor
from torch.nn import functional

import cnnc
from cnnc.pruning import Masks

HERE = Path(__file__).parent
CHANNEL = "channel"
"""The pattern in which what goes leaves the network; in others it becomes 0."""
BATCH = 100
RATE = 2e-3
"""Learning rate of Adam at first; it falls as a cosine does, to 0."""
GROWING = 0.5
"""Share of the training in which zeros become more."""
CHOICES = 50
"""How often it is chosen meanwhile which weights go."""
SHIFT = 1
"""Most pixels by which an image is moved in training."""
TEACHING = 0.5
"""Weight of the dense model's scores in the loss; the classes have the rest."""
TEMPERATURE = 2.0
"""What scores are divided by before those of the two models are compared."""


def main() -> None:
    """Print accuracies before and after, and write the model."""
    options = read_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    test, train = load(options.data, "test"), load(options.data, "train")
    dense = Network(onnx.load(options.model))
    print(f"{options.model.stem}: {accuracy(dense, test):.4f} of {len(test.labels)} test images")
    if options.gradients:
        np.savez_compressed(options.gradients, **gradients(dense, train))
        print(f"{options.gradients} holds the gradients of {len(train.labels)} training images")
    if not options.epochs:
        return
    model = without_channels(options.model, options.sparsity) if options.pattern == CHANNEL else dense.model
    network = Network(model)
    keep(network, chosen(network, options.sparsity, options.pattern))
    print(f"{options.sparsity:.0%} pruned at once: {accuracy(network, test):.4f}")
    network = Network(model)
    start = time.process_time()
    fine_tune(network, dense, train, options)
    minutes = (time.process_time() - start) / 60
    print(f"trained on {len(train.labels)} images: {accuracy(network, test):.4f}, {minutes:.1f} CPU minutes")
    onnx.save(network.exported(options.store_sparse), options.output)
    [scores] = cnnc.compile(options.output).run({"input": test.pixels}).values()
    print(f"{options.output}, run by cnnc: {np.mean(scores.argmax(1) == test.labels):.4f}")


def read_options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Prune a model for Fashion-MNIST, and train what stays.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the images")
    parser.add_argument(
        "--model", type=Path, default=HERE / "models" / "resnet14_fashion-bn.onnx", help="trained model"
    )
    parser.add_argument("--sparsity", type=float, default=0.9, help="share of the weights, or channels, that go")
    parser.add_argument("--pattern", default="unstructured", help="or block4 or channel: which weights go together")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images")
    parser.add_argument("-o", "--output", type=Path, help="the pruned model; by default MODEL.pruned.onnx")
    parser.add_argument(
        "--store-sparse", action="store_true", help="write sparse tensors: a smaller file that not every engine reads"
    )
    parser.add_argument("--gradients", type=Path, help="write the dense model's gradients to this .npz file, too")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output = options.output or Path(f"{options.model.stem}.pruned.onnx")
    return options


def fine_tune(network: Network, dense: Network, images: Images, options: argparse.Namespace) -> None:
    """Train a network while ever more of its weights become 0."""
    epoch = math.ceil(len(images.labels) / BATCH)
    steps = options.epochs * epoch
    optimizer = torch.optim.Adam([network.weights[name] for name in network.trained], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    growing = math.ceil(steps * GROWING)
    every = math.ceil(growing / CHOICES)
    masks: Masks = {}
    for step, (pixels, labels) in enumerate(batches(images, options.epochs)):
        if step < growing and (step % every == 0 or step + 1 == growing):
            to_go = 1 - (step + 1) / growing
            masks = chosen(network, options.sparsity * (1 - to_go**3), options.pattern)
            keep(network, masks)
        with torch.no_grad():
            taught = dense(pixels)
        optimizer.zero_grad()
        error = loss(network(pixels, training=True), labels, taught)
        error.backward()
        optimizer.step()
        schedule.step()
        keep(network, masks)
        if (step + 1) % epoch == 0:
            print(f"epoch {(step + 1) // epoch}: loss of the last batch {error.item():.3f}", flush=True)


def without_channels(model: Path, sparsity: float) -> onnx.ModelProto:
    """A smaller model, without the channels of least magnitude."""
    return cnnc.export_onnx(cnnc.prune_channels(model, sparsity=sparsity).graph)


def chosen(network: Network, sparsity: float, pattern: str) -> Masks:
    """Which weights are kept, by name, True for those: of all layers together the largest. {}: all of them."""
    if pattern == CHANNEL:
        return {}
    pruned = cnnc.prune(network.exported(), sparsity=sparsity, pattern=pattern, scope="global", prune_first=True)
    return pruned.masks


def keep(network: Network, masks: Masks) -> None:
    """Set the other weights to 0."""
    with torch.no_grad():
        for name, mask in masks.items():
            network.weights[name].mul_(torch.from_numpy(mask))


def loss(scores: Tensor, labels: Tensor, taught: Tensor) -> Tensor:
    """Cross entropy with the classes, and how far the scores are from the dense model's at a temperature."""
    own, its = ((values / TEMPERATURE).log_softmax(1) for values in (scores, taught))
    distance = functional.kl_div(own, its, reduction="batchmean", log_target=True) * TEMPERATURE**2
    return (1 - TEACHING) * functional.cross_entropy(scores, labels) + TEACHING * distance


def batches(images: Images, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in random order, half of them mirrored, moved by up to ``SHIFT`` pixels; and their classes."""
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    for _ in range(epochs):
        for part in torch.randperm(len(labels)).split(BATCH):
            mirrored = torch.rand(len(part), 1, 1, 1) < 0.5
            batch = torch.where(mirrored, pixels[part].flip(3), pixels[part])
            yield moved(batch), labels[part]


def moved(batch: Tensor) -> Tensor:
    """Every image [N, 1, H, W] moved by a number of pixels of its own along each axis."""
    count, _, height, width = batch.shape
    padded = functional.pad(batch, (SHIFT,) * 4, value=BLACK)[:, 0]
    rows = torch.randint(0, 2 * SHIFT + 1, (count, 1)) + torch.arange(height)
    columns = torch.randint(0, 2 * SHIFT + 1, (count, 1)) + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]


def gradients(network: Network, images: Images) -> dict[str, np.ndarray]:
    """Of the loss by every weight, by name: root of the mean square over batches.

    Where training has ended, gradients of one sign and the other cancel in a mean. (Molchanov et al., Importance
    Estimation for Neural Network Pruning, CVPR 2019, section 3.1, squares for the same reason.)
    """
    weights = [network.weights[name] for name in network.trained]
    squares = [np.zeros(weight.shape) for weight in weights]
    pixels, labels = torch.from_numpy(images.pixels).split(BATCH), torch.from_numpy(images.labels).split(BATCH)
    for batch, classes in zip(pixels, labels, strict=True):
        found = torch.autograd.grad(functional.cross_entropy(network(batch), classes), weights)
        squares = [total + np.square(gradient.numpy()) for total, gradient in zip(squares, found, strict=True)]
    means = (np.sqrt(total / len(labels)).astype(np.float32) for total in squares)
    return dict(zip(network.trained, means, strict=True))


def accuracy(network: Network, images: Images) -> float:
    """Share of images whose class has the largest score."""
    with torch.no_grad():
        classes = [network(batch).argmax(1) for batch in torch.from_numpy(images.pixels).split(BATCH)]
    return float(np.mean(torch.cat(classes).numpy() == images.labels))


if __name__ == "__main__":
    main()
