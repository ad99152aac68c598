"""Colour maps: what their papers say of them."""

from __future__ import annotations

import numpy as np

from cnnc.view.colour_map import DIVERGING, NOT_FINITE, SEQUENTIAL, STEPS, Scale, colours, paint, scale_of


def test_the_diverging_map_goes_from_blue_over_white_to_red() -> None:
    table = colours(DIVERGING).astype(int)
    assert table.shape == (STEPS, 3)
    # The ends and the middle as the paper's table of 33 colours gives them.
    for index, colour in ((0, (59, 76, 192)), (STEPS // 2, (221, 221, 221)), (STEPS - 1, (180, 4, 38))):
        assert np.abs(table[index] - colour).max() <= 1
    # A quarter of the way up, its table has 141, 176, 254.
    assert np.abs(table[round((STEPS - 1) / 4)] - (141, 176, 254)).max() <= 2


def test_the_sequential_map_gets_lighter_all_the_way() -> None:
    table = colours(SEQUENTIAL).astype(float)
    light = table @ (0.30, 0.59, 0.11)
    assert tuple(table[0]) == (0, 0, 0) and tuple(table[-1]) == (255, 255, 255)
    assert (np.diff(light) > -1).all() and light[-1] - light[0] == 255
    assert np.abs(light - np.linspace(0, 255, STEPS)).max() < 6


def test_zero_is_the_middle_of_numbers_of_both_signs() -> None:
    values = np.array([-1.0, 0.0, 4.0])
    scale = scale_of(values)
    assert scale == Scale(-4.0, 4.0, DIVERGING)
    painted = paint(values, scale)
    assert (painted[1] == colours(DIVERGING)[STEPS // 2]).all()
    assert (painted[2] == colours(DIVERGING)[-1]).all()


def test_what_is_not_negative_begins_at_zero() -> None:
    assert scale_of(np.array([2.0, 3.0])) == Scale(0.0, 3.0, SEQUENTIAL)
    assert scale_of(np.array([2.0]), around_zero=True) == Scale(-2.0, 2.0, DIVERGING)


def test_what_is_not_finite_has_a_colour_of_its_own_and_no_part_in_the_scale() -> None:
    values = np.array([np.nan, np.inf, 1.0, 0.5])
    scale = scale_of(values)
    assert scale.high == 1.0
    assert (paint(values, scale)[:2] == NOT_FINITE).all()
    assert scale_of(np.array([np.nan])) == Scale(0.0, 0.0, SEQUENTIAL)


def test_a_constant_picture_has_one_colour() -> None:
    zeros = np.zeros((3, 4))
    assert len(np.unique(paint(zeros, scale_of(zeros)).reshape(-1, 3), axis=0)) == 1
