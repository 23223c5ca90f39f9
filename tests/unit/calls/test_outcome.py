import pytest

from mediaproxy.calls.outcome import Outcome, refused


@pytest.mark.parametrize(
    ("status", "rang", "disposition"),
    [
        (486, True, "busy"),
        (600, False, "busy"),
        (403, False, "rejected"),
        (603, True, "rejected"),
        (480, True, "no_answer"),
        (480, False, "unavailable"),
        (408, True, "no_answer"),
        (408, False, "unavailable"),
        (500, True, "failed"),
        (302, True, "failed"),
    ],
)
def test_what_a_refusal_means(status: int, rang: bool, disposition: str) -> None:
    assert refused(status, rang=rang) == Outcome(disposition, status, "callee")
