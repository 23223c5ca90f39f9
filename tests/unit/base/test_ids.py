import uuid

from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.ids import RANDOM_BYTES, uuid7

RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(ms=st.integers(0, (1 << 48) - 1), random=RANDOM)
def test_an_id_is_a_valid_uuid_of_version_7_that_holds_its_time(ms: int, random: bytes) -> None:
    parsed = uuid.UUID(uuid7(ms, random))
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == ms


@given(ms=st.integers(0, (1 << 48) - 2), first=RANDOM, second=RANDOM)
def test_ids_sort_by_time(ms: int, first: bytes, second: bytes) -> None:
    assert uuid7(ms, first) < uuid7(ms + 1, second)


def test_the_random_part_is_used() -> None:
    assert uuid7(1, bytes(10)) != uuid7(1, b"\xff" * 10)
