"""What Strassen's method costs in accuracy: known from the number of products, before anything runs."""

from __future__ import annotations

import math

import numpy as np

from cnnc.runtime.cpu.strassen_products import ADD, COLLECT, DIFFERENCES, FINISH, HALVES, KEEP, PRODUCTS
from cnnc.runtime.cpu.winograd_error import direct_error

_UNIT = 2.0**-24


def strassen_error(products: int) -> float:
    """Relative error of sums of ``products`` random products, as a root mean square over the four blocks of the result.

    The sums of half as many products have the errors of direct ones, and both factors of a product were rounded; but
    the products of blocks are larger than the results that remain when they are combined.
    """
    rounded = direct_error(products // HALVES) ** 2 + 4 * _UNIT**2
    return math.sqrt(amplified() * rounded)


def amplified() -> float:
    """Mean square of the products of blocks that a block of the result adds up, over the mean square of the result.

    Blocks of both factors count as independent, with elements of one size: 7 for Winograd's form, 4 for Strassen's own.
    """
    operands = list(np.eye(HALVES**2))
    for first, second in DIFFERENCES:
        operands.append(operands[first] - operands[second])
    kept: dict[int, float] = {}
    finished: list[float] = []
    for product in PRODUCTS:
        total = float(
            np.dot(product.weights, product.weights) * np.dot(operands[product.operand], operands[product.operand])
        )
        for step, which in product.steps:
            if step == KEEP:
                kept[which] = total
            elif step == COLLECT:
                kept[which] += total
            elif step == ADD:
                total += kept[which]
            else:
                assert step == FINISH
                finished.append(total)
    return sum(finished) / len(finished) / HALVES
