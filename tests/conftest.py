"""What the tests of the core stand on: made pictures, a made extractor, and plugin packages on disk."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from capframe import PluginManager, Registry, hookimpl


class QuarterColours:
    """Mean colour of the quarters of a picture: a vector (12,), or a grid of four regions (4, 3).

    Args:
        regions: give the grid.
        scale: factor of every feature.
    """

    image_size = (8, 8)

    def __init__(self, regions: bool = False, scale: float = 1.0) -> None:
        self.feature_shape = (4, 3) if regions else (12,)
        self.scale = scale

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        quarters = images.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4), dtype=np.float64) / 255
        return (self.scale * quarters).reshape(-1, *self.feature_shape).astype(np.float32)


# How long a machine takes is nothing to test.
hypothesis.settings.register_profile("capframe", deadline=None)
hypothesis.settings.load_profile("capframe")


@pytest.fixture(scope="session")
def offering() -> Callable[..., SimpleNamespace]:
    """Return a function that makes a plugin whose hooks return the given mappings."""

    def make(**hooks: Mapping[str, object]) -> SimpleNamespace:
        def hook(offer: Mapping[str, object]) -> Callable[[], Mapping[str, object]]:
            return hookimpl(lambda: offer)

        return SimpleNamespace(**{name: hook(offer) for name, offer in hooks.items()})

    return make


@pytest.fixture(scope="session")
def new_plugins(offering: Callable[..., SimpleNamespace]) -> Callable[[], PluginManager]:
    """Return a function that makes a manager with the default plugins and ``quarter-colours``."""

    def make() -> PluginManager:
        manager = PluginManager(strict=True, disabled={"*"})
        manager.register(offering(register_feature_extractors={"quarter-colours": QuarterColours}), "drawn")
        return manager

    return make


@pytest.fixture
def plugins(new_plugins: Callable[[], PluginManager]) -> PluginManager:
    """Return a fresh manager with the default plugins and the extractor ``quarter-colours``."""
    return new_plugins()


@pytest.fixture
def registry(plugins: PluginManager) -> Registry:
    """Return a registry over the manager of ``plugins``."""
    return Registry(plugins)


@pytest.fixture(scope="session")
def honest_run(tmp_path_factory: pytest.TempPathFactory, new_plugins: Callable[[], PluginManager]) -> Path:
    """Return a run folder as training leaves it, with the weights that the decoder was built with."""
    from capframe import Captioner, Vocabulary, run_folder
    from capframe.feature_parts import FeatureSource
    from capframe.trained import Trained

    folder = tmp_path_factory.mktemp("honest") / "run"
    captioner = Captioner(
        "quarter-colours",
        decoder=("add-merge", {"units": 4, "embedding_size": 4}),
        callbacks=["checkpoint"],
        registry=Registry(new_plugins()),
    )
    vocabulary = Vocabulary(["a", "dog", "runs"])
    model = captioner.composition.decoder.value.build((12,), len(vocabulary))
    source = FeatureSource("quarter-colours", {"regions": False, "scale": 1.0}, (12,))
    trained = Trained(model, vocabulary, source, [{"epoch": 1.0, "loss": 2.0}], frozenset({"0" * 16}))
    with run_folder.new_run_folder(folder) as working:
        trained.write(working, captioner.composition)
    return folder


@pytest.fixture
def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that installs a plugin package: source files and metadata, as pip leaves them."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    present = set(sys.modules)

    def install(
        distribution: str,
        sources: Mapping[str, str],
        entry_points: Mapping[str, str] | None = None,
        version: str = "1.0",
    ) -> None:
        for module, source in sources.items():
            (site / f"{module}.py").write_text(source)
        announced = {module: module for module in sources} if entry_points is None else entry_points
        metadata = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = [f"{name} = {target}\n" for name, target in announced.items()]
        (metadata / "entry_points.txt").write_text("[capframe]\n" + "".join(lines))
        importlib.invalidate_caches()

    yield install
    for module in {path.stem for path in site.glob("*.py")} - present:
        sys.modules.pop(module, None)
