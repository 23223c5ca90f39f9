"""The words for an interval, whatever people are called."""

import pytest

from mediaproxy.recording import labels
from mediaproxy.recording.manifest import Actor, Interval


@pytest.mark.parametrize(
    ("kind", "by", "until", "words"),
    [
        (
            "audio",
            Actor("api", "alice"),
            Actor("dtmf", "alice"),
            "recorded by alice (api) until alice (dtmf)",
        ),
        ("audio", Actor("policy"), Actor("call_end"), "recorded by policy until call end"),
        ("announcement", Actor("policy"), Actor("policy"), "announcement by policy until policy"),
        ("audio", Actor("sip", "Łucja 😀"), Actor("api", ""), "recorded by Łucja 😀 (sip) until api"),
    ],
)
def test_who_recorded_is_said_in_words(kind: str, by: Actor, until: Actor, words: str) -> None:
    assert labels.of_interval(Interval(0, 1, by, until, kind)) == words


@pytest.mark.parametrize("name", ["a\0b", "a\r\nb", "\x1b[2J", "a\u202eb", "\udcff", "x" * 5_000, "\u2028"])
def test_a_hostile_name_ends_no_field_and_moves_no_cursor(name: str) -> None:
    said = labels.of_interval(Interval(0, 1, Actor("api", name), Actor("call_end")))
    assert said.isprintable()
    assert len(said) < 200
    assert said.startswith("recorded by ")
    assert said.endswith(" (api) until call end")
