"""Where the decoder looked at each word: weights from Python, and a sheet that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from capframe import Captioner, Ensemble, PluginManager, Registry, Vocabulary, run_folder
from capframe.attention import attention_of, grid_of
from capframe.attention_sheet import attention_sheet, lit
from capframe.cli import main
from capframe.errors import UsageError
from capframe.features import FeatureSource

DECODERS: dict[str, dict[str, Any]] = {
    "transformer": {"width": 8, "heads": 2, "feed_forward": 8},
    "show-attend-tell": {"units": 4, "embedding_size": 4, "attention_size": 4},
    "add-merge": {"units": 4, "embedding_size": 4},
}
SHORT: dict[str, Any] = {"beam": 2, "max_words": 5, "min_words": 2}


@pytest.fixture(scope="module")
def registry(new_plugins: Callable[[], PluginManager]) -> Registry:
    return Registry(new_plugins())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Callable[..., Path]:
    """Return a function that gives a run folder with random weights, made once."""
    made: dict[tuple[str, bool], Path] = {}

    def run_of(decoder: str, regions: bool = True) -> Path:
        import keras

        from capframe.trained import Trained

        if (decoder, regions) not in made:
            folder = tmp_path_factory.mktemp("runs") / "run"
            composed = Captioner(
                ("quarter-colours", {"regions": regions}),
                decoder=(decoder, DECODERS[decoder]),
                callbacks=["checkpoint"],
                registry=registry,
            )
            vocabulary, shape = Vocabulary(["a", "dog", "runs"]), (4, 3) if regions else (12,)
            keras.utils.set_random_seed(1)
            model = composed.composition.decoder.value.build(shape, len(vocabulary))
            source = FeatureSource("quarter-colours", {"regions": regions, "scale": 1.0}, shape)
            history = [{"epoch": 1.0, "loss": 2.0}]
            trained = Trained(model, vocabulary, source, history, frozenset({"0" * 16}))
            with run_folder.new_run_folder(folder) as working:
                trained.write(working, composed.composition)
            made[decoder, regions] = folder
        return made[decoder, regions]

    return run_of


@pytest.fixture
def captioner(runs: Callable[..., Path], registry: Registry) -> Callable[..., Captioner]:
    return lambda *of: Captioner.load(runs(*of), registry=registry)


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize("decoder", ["transformer", "show-attend-tell"])
def test_each_word_of_the_caption_shares_its_look_among_the_regions(
    decoder: str, captioner: Callable[..., Captioner]
) -> None:
    trained, images = captioner(decoder), pictures(3)

    attended = attention_of(trained, images, **SHORT)

    assert [" ".join(words) for words, _ in attended] == trained.caption(images, **SHORT)
    for words, weights in attended:
        assert (weights.shape, weights.dtype) == ((len(words), 4), np.float32)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_a_word_has_the_weights_with_which_it_was_predicted(captioner: Callable[..., Captioner]) -> None:
    trained, (image,) = captioner("show-attend-tell"), pictures(1)
    extractor, decoder = (trained.composition.feature_extractor.value, trained.composition.decoder.value)
    start, a, dog = 2, *trained.trained.vocabulary.encode("a dog")

    (attended,) = attention_of(trained, [image], ["a dog cat"])

    assert attended.words == ("a", "dog", "cat")
    # "a" was predicted when only <start> had been read, "dog" after "a", "cat" after "dog".
    features, tokens = extractor(image[None]), np.array([[start, a, dog]], np.int32)
    due = decoder.attention(trained.trained.model, features, tokens)[0]
    np.testing.assert_allclose(attended.weights, due, atol=1e-5)


def test_captions_of_many_pictures_and_of_no_words_keep_their_places(
    captioner: Callable[..., Captioner],
) -> None:
    trained, images = captioner("show-attend-tell"), pictures(34)
    captions = ["dog runs", *["a"] * 32, ""]

    attended = attention_of(trained, images, captions)

    assert [len(words) for words, _ in attended] == [2, *[1] * 32, 0]
    assert attended[-1].weights.shape == (0, 4)
    (alone,) = attention_of(trained, images[32:33], ["a"])
    np.testing.assert_allclose(attended[32].weights, alone.weights, atol=1e-5)


def test_what_has_no_weights_to_show_says_what_to_use(captioner: Callable[..., Captioner]) -> None:
    with pytest.raises(
        UsageError, match=r"'add-merge' does not say where it looks\. Train with .* transformer"
    ):
        attention_of(captioner("add-merge"), pictures(1))
    with pytest.raises(UsageError, match=r"one vector .*regions=true"):
        attention_of(captioner("transformer", False), pictures(1))
    with pytest.raises(UsageError, match="give one run"):
        attention_of(Ensemble([captioner("transformer"), captioner("show-attend-tell")]), pictures(1))
    with pytest.raises(UsageError, match="1 captions were given for 2 pictures"):
        attention_of(captioner("transformer"), pictures(2), ["a dog"])


@pytest.mark.parametrize(("shape", "grid"), [((49, 5), (7, 7)), ((3, 4, 5), (3, 4)), ((1, 5), (1, 1))])
def test_the_grid_is_that_of_the_features(
    shape: tuple[int, ...], grid: tuple[int, int], captioner: Callable[..., Captioner]
) -> None:
    trained = captioner("transformer")
    trained._use(replace(trained.trained, source=FeatureSource("made", {}, shape)))

    assert grid_of(trained) == grid


def test_regions_that_are_no_grid_are_told(captioner: Callable[..., Captioner]) -> None:
    trained = captioner("transformer")
    trained._use(replace(trained.trained, source=FeatureSource("made", {}, (98, 5))))

    with pytest.raises(UsageError, match=r"98 regions .* no square grid"):
        grid_of(trained)


def test_the_picture_is_lit_where_the_weight_is_and_grey_elsewhere() -> None:
    red = np.full((40, 80, 3), (200, 40, 30), np.uint8)

    shown = lit(red, np.array([0, 1, 0, 0], np.float32), (2, 2))

    bright, dark = shown[4, 75], shown[35, 4]  # the corner of the second region, and that of the third
    # 0.65 of the picture and 0.35 of the glow (255, 176, 32)
    assert bright.tolist() == [219, 87, 30]
    # 0.35 of the mean of red, green and blue, 90, and a rest of the smoothing
    np.testing.assert_allclose(dark, 31.5, atol=3)


def test_equal_weights_light_everything_alike() -> None:
    shown = lit(np.full((10, 10, 3), 100, np.uint8), np.full(9, 1 / 9, np.float32), (3, 3))

    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 1


def test_a_sheet_has_a_cell_for_the_picture_and_one_for_each_word(tmp_path: Path) -> None:
    blue = np.full((20, 20, 3), (0, 0, 255), np.uint8)
    two, three, five = (
        attention_sheet(
            [(blue, ["a"] * words, np.full((words, 4), 0.25, np.float32))],
            (2, 2),
            tmp_path / f"{words}.png",
            columns=3,
            thumb=96,
        )
        for words in (2, 3, 5)
    )

    with Image.open(two) as one_line, Image.open(three) as two_lines, Image.open(five) as full:
        assert one_line.width == two_lines.width
        assert 96 < two_lines.height - one_line.height < 2 * 96
        assert two_lines.size == full.size
        pixels = np.asarray(one_line).reshape(-1, 3)
        assert (pixels == (0, 0, 255)).all(axis=1).sum() == 96 * 96  # as it is, once
        assert (pixels == lit(blue, np.ones(4, np.float32), (2, 2))[0, 0]).all(axis=1).sum() == 2 * 96 * 96


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, "attention sheet of 0 pictures"),
        ({"thumb": 8}, "at 8 pixels"),
        ({"grid": (3, 3)}, r"shape \(1, 4\); 1 words and a grid of 3 x 3"),
    ],
)
def test_a_sheet_that_cannot_be_drawn_says_why(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    row = (pictures(1)[0], ["a"], np.full((1, 4), 0.25, np.float32))
    with pytest.raises(UsageError, match=message):
        attention_sheet(**{"rows": [row], "grid": (2, 2), "path": tmp_path / "a.png", **changes})


def caption(registry: Registry, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["caption", *map(str, arguments)], obj=registry)


def test_the_command_draws_where_the_decoder_looked(
    runs: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    for number, picture in enumerate(pictures(2)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    sheet = tmp_path / "drawn" / "attention.png"

    result = caption(registry, tmp_path, "--run", runs("transformer"), "--attention", sheet, "--max-words", 4)

    assert result.exit_code == 0, result.output
    assert f"Attention sheet: {sheet}" in result.stderr
    with Image.open(sheet) as image:
        assert image.height > 2 * 168


def test_the_command_captions_nothing_where_nothing_can_be_drawn(
    runs: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    Image.fromarray(pictures(1)[0]).save(tmp_path / "photo.png")

    result = caption(
        registry, tmp_path / "photo.png", "--run", runs("add-merge"), "--attention", tmp_path / "a.png"
    )

    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: The decoder 'add-merge' does not say where it looks." in result.stderr
    assert not (tmp_path / "a.png").exists()
