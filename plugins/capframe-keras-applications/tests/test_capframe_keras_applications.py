"""The extractors: that there is one for every network, and that they give what Keras' own code gives."""

import inspect
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from capframe_keras_applications import extractors
from capframe_keras_applications.networks import NETWORKS

from capframe import Registry
from capframe.errors import CapframeError, OptionError
from capframe.testing import check_feature_extractor

QUICK = ["EfficientNetB0"]  # the one whose weights from a file need most care
EACH_FAMILY = [
    "ConvNeXtTiny", "DenseNet121", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3", "MobileNet",
    "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2",
    "VGG16", "VGG19", "Xception",
]  # fmt: skip
SIDE = 96


def test_there_is_one_for_every_network_of_the_installed_keras():
    offered = {
        name for name in dir(keras.applications) if inspect.isfunction(getattr(keras.applications, name))
    }
    assert set(NETWORKS) == offered
    modules = {network.module for network in NETWORKS.values()}
    assert all(hasattr(getattr(keras.applications, module), "preprocess_input") for module in modules)


def test_capframe_offers_them_and_says_what_they_are():
    registry = Registry()
    names = [name for name in registry.names("feature_extractor") if name.startswith("keras-")]
    assert len(names) == len(NETWORKS)
    assert (
        registry.plugin("feature_extractor", "keras-resnet50v2").distribution == "capframe-keras-applications"
    )
    factory = registry.factory("feature_extractor", "keras-xception")
    assert "Chollet 2017" in inspect.getdoc(factory)


def test_offering_them_does_not_import_keras():
    program = (
        "import sys, capframe_keras_applications; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def seeded(name, folder):
    """Write a weights file of random numbers."""
    keras.utils.set_random_seed(3)
    network = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    random = np.random.default_rng(4)
    # Statistics of the batches begin at 0 and 1, where some mistakes would not show.
    weights = network.get_weights()
    network.set_weights([one * random.uniform(0.8, 1.2, one.shape).astype(one.dtype) for one in weights])
    path = folder / f"{name}.weights.h5"
    network.save_weights(path)
    return path


def agrees(name, folder, monkeypatch):
    path = seeded(name, folder)
    images = np.random.default_rng(5).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)
    # Keras takes the file for what it has downloaded: so the network is just what ImageNet's would be.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *arguments, **options: str(path))
    extractor = getattr(extractors, name)
    downloaded = extractor(regions=True, side=SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a side that differs
        network = getattr(keras.applications, name)(include_top=False, input_shape=(SIDE, SIDE, 3))
    prepare = getattr(keras.applications, NETWORKS[name].module).preprocess_input
    grid = np.asarray(network(prepare(images.astype(np.float32)), training=False))
    scale = np.abs(grid).max()
    assert scale > 0

    network.save_weights(folder / "saved.weights.h5")
    network.save(folder / "whole.h5")
    regions = extractor(str(folder / "saved.weights.h5"), regions=True, side=SIDE)
    pooled = extractor(str(folder / "whole.h5"), side=SIDE)

    for found in (downloaded, regions):
        assert found.feature_shape == (grid.shape[1] * grid.shape[2], grid.shape[3])
        cells = grid.reshape(2, *found.feature_shape)
        np.testing.assert_allclose(found(images) / scale, cells / scale, atol=1e-4)
    np.testing.assert_allclose(pooled(images) / scale, grid.mean(axis=(1, 2)) / scale, atol=1e-4)
    assert pooled(images).dtype == np.float32
    assert pooled.fingerprint == regions.fingerprint == downloaded.fingerprint


@pytest.mark.parametrize("name", QUICK)
def test_features_are_those_of_keras(name, tmp_path, monkeypatch):
    agrees(name, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH_FAMILY)
def test_features_of_every_family_are_those_of_keras(name, tmp_path, monkeypatch):
    agrees(name, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_have_the_size_that_the_network_was_trained_on(name):
    default = getattr(keras.applications, name)(weights=None).input_shape
    side = NETWORKS[name].side
    # Keras leaves the size of these two open.
    expected = (None, None, None, 3) if name.startswith("MobileNetV3") else (None, side, side, 3)
    assert default == expected


def test_it_keeps_the_laws_of_feature_extractors(tmp_path):
    path = seeded("MobileNetV3Small", tmp_path)
    check_feature_extractor(
        "capframe_keras_applications.extractors:MobileNetV3Small", weights=str(path), side=SIDE, regions=True
    )


def test_wrong_options_are_refused_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=r"There is no weights file 'none.h5'.*'keras-mobilenet'"):
        extractors.MobileNet("none.h5")
    strange = tmp_path / "strange.weights.h5"
    strange.write_bytes(b"weights")
    with pytest.raises(OptionError, match=r"does not hold the weights of MobileNet .*include_top=False"):
        extractors.MobileNet(str(strange), side=SIDE)
    with pytest.raises(OptionError, match="'keras-mobilenet' cannot take side=8"):
        extractors.MobileNet(side=8)

    def offline(*arguments, **options):
        raise Exception("URL fetch failure")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(CapframeError, match=r"cannot be downloaded .*feature_extractor.weights=FILE"):
        extractors.DenseNet121(side=SIDE)
