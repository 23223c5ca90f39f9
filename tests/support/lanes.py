"""The two ways of the fast lane, each of which must be as the rule."""

import pytest

from mediaproxy.native import library

BUILT = pytest.mark.skipif(library() is None, reason="no C compiler has built the helper")
COMPILED_OR_NOT = [pytest.param(True, marks=BUILT, id="compiled"), pytest.param(False, id="numpy")]
