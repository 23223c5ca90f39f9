"""In which order a trunk's targets are tried (RFC 2782: by priority, then by weight and chance)."""

from collections.abc import Callable

from mediaproxy.calls.model import Place, Target, Trunk

FAILS_OVER = frozenset({408, 503})  # silence, a dead flow, or who says so: the next one may do better
_CHANCE_BYTES = 4


def in_order(trunk: Trunk, random: Callable[[int], bytes]) -> list[Target]:
    """Each of its targets once. `random` gives that many bytes, and is asked only where there is a choice."""
    left = sorted(trunk.places, key=lambda place: (place.priority, place.weight))
    if not left:
        return [trunk.target]
    order = []
    while left:
        equals = [place for place in left if place.priority == left[0].priority]
        chosen = _by_weight(equals, random) if len(equals) > 1 else equals[0]
        left.remove(chosen)
        order.append(chosen.target)
    return order


def _by_weight(places: list[Place], random: Callable[[int], bytes]) -> Place:
    """`places` by rising weight: those of weight 0 have a very small chance of being chosen."""
    drawn = int.from_bytes(random(_CHANCE_BYTES), "big") % (sum(place.weight for place in places) + 1)
    for place in places:
        drawn -= place.weight
        if drawn <= 0:
            return place
    return places[-1]
