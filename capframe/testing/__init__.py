"""The conformance kit: does a component keep the laws of its kind?

Each kind of component has laws, such as "The same pictures give the same features." A check runs all
laws of a kind and raises a `ConformanceError` that names the law, what was seen and what to do::

    from capframe.testing import check_feature_extractor

    def test_my_extractor():
        check_feature_extractor(MyExtractor, cells=4)

``pytest --capframe-package NAME`` runs the right laws over everything that an installed package offers,
one test for each component and law.

A kind brings its laws in one module here, which makes a `LawBook` and is listed in `laws.BOOKS`.
"""

from __future__ import annotations

from .checks import (
    check,
    check_callback,
    check_dataset_reader,
    check_decoder,
    check_feature_extractor,
    check_metric,
    check_text_cleaner,
)
from .laws import ConformanceError, Law, NotApplicable, Subject, laws_of

__all__ = [
    "ConformanceError",
    "Law",
    "NotApplicable",
    "Subject",
    "check",
    "check_callback",
    "check_dataset_reader",
    "check_decoder",
    "check_feature_extractor",
    "check_metric",
    "check_text_cleaner",
    "laws_of",
]
