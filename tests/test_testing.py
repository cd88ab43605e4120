"""The conformance kit: what is sound passes, and each law catches a component that breaks it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import faulty
import faulty_heavy
import faulty_keras
import pytest

from capframe.testing import ConformanceError, NotApplicable, Subject, check, laws_of
from capframe.testing.laws import BOOKS

pytest_plugins = "pytester"

STEPS = {"steps-give-the-logits-of-the-whole-pass", "a-saved-model-gives-the-same-logits"}
"""The saved model is stepped, too."""

FAULTY: list[tuple[Any, Any, str, set[str]]] = [
    ("text_cleaner", faulty.Failing, "it-can-be-built", set()),
    ("text_cleaner", faulty_heavy.Spaced, "nothing-heavy-is-imported-before-use", set()),
    ("text_cleaner", faulty.Untyped, "options-are-typed", set()),
    ("text_cleaner", faulty.Undocumented, "options-are-documented", set()),
    ("text_cleaner", faulty.Unwritable, "options-survive-json", set()),
    ("text_cleaner", faulty.unreachable(), "a-worker-process-builds-the-same", set()),
    ("text_cleaner", faulty.Listing, "a-caption-comes-out-as-text", set()),
    ("text_cleaner", faulty.Growing, "cleaning-twice-changes-nothing-more", set()),
    ("text_cleaner", faulty.Remembering, "the-same-caption-gives-the-same-result", set()),
    ("text_cleaner", faulty.Unspaced, "words-are-separated-by-single-spaces", set()),
    ("feature_extractor", faulty.ListedSize, "sizes-are-well-formed", set()),
    ("feature_extractor", faulty.Doubles, "features-are-float32-of-the-shape", set()),
    ("feature_extractor", faulty.Logarithms, "features-are-finite", set()),
    # A worker process builds another one, which differs, too.
    (
        "feature_extractor",
        faulty.RandomWeights,
        "same-pictures-give-same-features",
        {"a-worker-process-builds-the-same"},
    ),
    ("feature_extractor", faulty.BatchCentred, "batch-size-does-not-matter", set()),
    ("feature_extractor", faulty.Inverting, "pictures-are-left-as-they-are", set()),
    ("metric", faulty.Rounded, "there-is-a-score-and-one-for-each-picture", set()),
    ("metric", faulty.Noisy, "the-same-captions-get-the-same-scores", set()),
    ("metric", faulty.Ranked, "the-order-of-pictures-does-not-matter", set()),
    ("metric", faulty.Distance, "references-score-no-lower-than-foreign-words", set()),
    ("metric", faulty.Emptying, "captions-are-left-as-they-are", set()),
    ("dataset_reader", faulty.Greedy, "odd-files-are-not-recognised", set()),
    ("dataset_reader", faulty.Careless, "odd-files-are-refused-by-name", set()),
    ("dataset_reader", faulty.Bare, "its-example-is-recognised-and-read", set()),
    ("dataset_reader", faulty.OwnSplits, "splits-are-those-of-capframe", set()),
    ("decoder", faulty_keras.NoVectors, "vectors-are-taken-or-refused", set()),
    ("decoder", faulty_keras.NoGrids, "grids-are-taken-or-refused", set()),
    ("decoder", faulty_keras.HalfPrecision, "logits-are-float32-for-every-word-and-position", set()),
    # What sees the next word cannot be stepped, and sees padding.
    (
        "decoder",
        faulty_keras.Peeking,
        "later-words-change-no-earlier-logits",
        {*STEPS, "padding-changes-no-logits"},
    ),
    ("decoder", faulty_keras.LengthBound, "padding-changes-no-logits", STEPS),
    ("decoder", faulty_keras.Forgetful, "steps-give-the-logits-of-the-whole-pass", STEPS),
    ("decoder", faulty_keras.Swapped, "words-learn-from-the-logits-of-the-whole-pass", set()),
    ("decoder", faulty_keras.Unshared, "attention-is-shared-among-the-regions", set()),
    ("decoder", faulty_keras.Growing, "states-have-the-batch-first-and-keep-their-shapes", set()),
    ("decoder", faulty_keras.Crowded, "pictures-of-a-batch-do-not-meet", set()),
    ("decoder", faulty_keras.Blind, "the-picture-is-seen", set()),
    ("decoder", faulty_keras.Stubborn, "training-lowers-the-loss", set()),
    ("decoder", faulty_keras.Unsafe, "a-saved-model-gives-the-same-logits", set()),
    ("callback", faulty_keras.Likeness, "it-is-a-keras-callback", set()),
    ("callback", faulty_keras.NeedsDev, "it-goes-through-training-without-a-dev-split", set()),
    ("callback", faulty_keras.Straying, "it-writes-into-the-run-folder-only", set()),
    ("callback", faulty_keras.OneRun, "it-can-be-used-again", set()),
    ("callback", faulty_keras.Jealous, "two-callbacks-share-no-state", set()),
]
SOUND = [
    ("feature_extractor", faulty.Means),
    ("text_cleaner", faulty.Spaced),
    ("metric", faulty.Recall),
    ("dataset_reader", faulty.Semicolons),
    ("decoder", faulty_keras.Bigram),
    ("callback", faulty_keras.Quiet),
    ("text_cleaner", "capframe.default_plugins.text_cleaners:RegexCleaner"),
    ("decoder", "capframe.default_plugins.decoders.add_merge:AddMerge"),
    ("callback", "capframe.default_plugins.callbacks.validation:Checkpoint"),
    ("callback", "capframe.default_plugins.callbacks.validation:EarlyStopping"),
    ("callback", "capframe.default_plugins.callbacks.validation:ReduceLR"),
]
# Every training run in a callback's laws fails with it, so it has no row that is its alone.
ALONE_NOWHERE = {"it-goes-through-training"}


def broken_laws(kind: Any, factory: Any) -> dict[str, str]:
    """Hold every law against a component; return law -> message for those that it breaks."""
    subject, broken = Subject(kind, factory), {}
    for law in laws_of(kind):
        try:
            law.check(subject)
        except NotApplicable:
            continue
        except ConformanceError as error:
            broken[law.name] = str(error)
    return broken


def slow_with_keras(rows: list[Any]) -> list[Any]:
    """Mark rows of decoders and callbacks: their laws train models."""
    return [
        pytest.param(*row, marks=[pytest.mark.slow] if row[0] in ("decoder", "callback") else [])
        for row in rows
    ]


@pytest.mark.parametrize(("kind", "factory", "law", "consequences"), slow_with_keras(FAULTY))
def test_a_fault_is_caught_by_its_law_and_by_no_other(kind, factory, law, consequences):
    broken = broken_laws(kind, factory)

    assert set(broken) == {law, *consequences}
    stated = next(one for one in laws_of(kind) if one.name == law)
    assert stated.statement in broken[law]
    assert stated.advice in broken[law]
    assert factory.__name__ in broken[law]


@pytest.mark.parametrize(("kind", "factory"), slow_with_keras(SOUND))
def test_a_sound_component_passes(kind, factory):
    check(kind, factory)


def test_every_law_has_a_component_that_breaks_it():
    laws = {law.name for kind in BOOKS for law in laws_of(kind)}
    assert {law for _, _, law, _ in FAULTY} == laws - ALONE_NOWHERE


def test_a_callback_that_breaks_training_is_caught():
    class Raising(faulty_keras.Quiet):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("no disk")

    assert "RuntimeError: no disk" in broken_laws("callback", Raising)["it-goes-through-training"]


def test_check_stops_at_the_first_breach_and_takes_options():
    with pytest.raises(ConformanceError, match="breaks the law 'it-can-be-built'") as caught:
        check("decoder", "capframe.default_plugins.decoders.add_merge:AddMerge", unit=3)
    assert "has no option 'unit'" in str(caught.value)


@pytest.fixture
def installed(install_package):
    install_package(
        "capframe-shapes",
        {
            "capframe_shapes": "import capframe\nfrom faulty import Growing, Spaced, Undocumented\n\n"
            "@capframe.hookimpl\ndef register_text_cleaners():\n"
            "    return {'spaced': Spaced, 'growing': Growing, 'wide': Undocumented}\n"
        },
    )


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


def test_pytest_checks_everything_that_a_package_offers(pytester, installed):
    pytester.makepyfile("def test_of_the_package_itself():\n    pass\n")

    result = run(pytester, "--capframe-package", "capframe-shapes", "-v")

    laws = len(laws_of("text_cleaner"))
    result.assert_outcomes(passed=3 * laws - 2 + 1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*The text cleaner 'growing' breaks the law 'cleaning-twice-changes-nothing-more'.",
            "*Law: *A clean caption stays as it is.",
            "*FAILED*capframe-shapes::growing::cleaning-twice-changes-nothing-more*",
            "*FAILED*capframe-shapes::wide::options-are-documented*",
        ]
    )


def test_pytest_makes_components_with_the_options_that_are_given(pytester, installed):
    pytester.makeini("[pytest]\ncapframe_options =\n    wide.width=4\n")

    refused = run(pytester, "--capframe-package", "capframe-shapes", "--capframe-option", "wide.height=1")
    refused.stdout.fnmatch_lines(["*has no option 'height'*Its options: width: int = 3*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--capframe-package", "capframe-circles"), "*no such package is installed*capframe*"),
        (
            ("--capframe-package", "capframe-shapes", "--capframe-option", "spaced"),
            "*--capframe-option spaced*OPTION=VALUE*",
        ),
    ],
)
def test_pytest_says_what_is_wrong_on_the_command_line(pytester, installed, arguments, said):
    result = run(pytester, *arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_the_pytest_plugin_imports_nothing_heavy():
    program = (
        "import sys, capframe.testing.pytest_plugin as plugin; "
        "print([name for name in ('numpy', 'tensorflow', 'pydantic', 'pluggy') "
        "if name in sys.modules and name != 'pluggy'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
