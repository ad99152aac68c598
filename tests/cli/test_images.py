"""Images become the arrays that the options describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnc.cli.images import ImageSettings, image_array
from cnnc.dims import symbol
from cnnc.errors import InputError, OptionError
from cnnc.runtime.program import Port
from cnnc.types import DType


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.fixture
def photo(pixels: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def port(*shape: int, dtype: DType = DType.F32) -> Port:
    return Port("x", 0, shape, dtype)


def settings(**options: str) -> ImageSettings:
    texts = {"size": None, "mean": None, "std": None, "channels": "rgb", "layout": "NCHW", **options}
    return ImageSettings.of(white=float(texts.pop("white", 1.0)), **texts)


def test_normalised_rgb(photo: Path, pixels: np.ndarray) -> None:
    got = image_array(photo, port(1, 3, 5, 7), settings(mean="0.1,0.2,0.3", std="0.5,0.6,0.7"))
    expected = (pixels / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1)[None], atol=1e-6)


def test_bgr_from_0_to_255(photo: Path, pixels: np.ndarray) -> None:
    got = image_array(photo, port(1, 3, 5, 7), settings(channels="bgr", white="255", mean="104,117,123"))
    expected = pixels[:, :, ::-1].astype(np.float64) - [104, 117, 123]
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1)[None], atol=1e-4)


def test_nhwc_bytes_stay_bytes(photo: Path, pixels: np.ndarray) -> None:
    got = image_array(photo, port(1, 5, 7, 3, dtype=DType.U8), settings(layout="NHWC"))
    assert got.dtype == np.uint8
    assert np.array_equal(got, pixels[None])


def test_one_channel_gets_grey(photo: Path) -> None:
    got = image_array(photo, port(1, 1, 5, 7), settings())
    expected = np.asarray(Image.open(photo).convert("L")) / 255
    np.testing.assert_allclose(got, expected[None, None], atol=1e-6)


def test_sizes(photo: Path) -> None:
    free = Port("x", 0, (symbol("N"), 3, symbol("H"), symbol("W")), DType.F32)
    assert image_array(photo, free, settings()).shape == (1, 3, 5, 7)
    assert image_array(photo, free, settings(size="4x6")).shape == (1, 3, 4, 6)
    assert image_array(photo, free, settings(size="9")).shape == (1, 3, 9, 9)
    assert image_array(photo, port(1, 3, 8, 10), settings()).shape == (1, 3, 8, 10)


def test_half_precision(photo: Path) -> None:
    assert image_array(photo, port(1, 3, 5, 7, dtype=DType.F16), settings()).dtype == np.float16


def test_refusals(photo: Path) -> None:
    with pytest.raises(InputError, match="rank 4"):
        image_array(photo, port(1, 3, 5), settings())
    with pytest.raises(InputError, match=r"axis 1 .* is 64"):
        image_array(photo, port(1, 64, 5, 7), settings())
    with pytest.raises(InputError, match="cannot become i64"):
        image_array(photo, port(1, 3, 5, 7, dtype=DType.I64), settings())
    with pytest.raises(OptionError, match="4 values for 3 channels"):
        image_array(photo, port(1, 3, 5, 7), settings(std="1,1,1,1"))
