"""What befalls packets is chosen by seed, as often as was asked for, and known exactly."""

import numpy as np
import pytest

from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.schedule import SLOT_NS, SLOTS, SOCKETS

STREAMS, INDEX = np.meshgrid(np.arange(200), np.arange(500))


def test_a_clean_network_does_nothing() -> None:
    network = Network()
    assert network.clean
    assert network.cycles == 0
    assert not network.lost(STREAMS, INDEX).any()
    assert not network.delays(STREAMS, INDEX).any()


def test_loss_is_as_often_as_asked_and_a_seed_repeats_it() -> None:
    lost = Network(loss=0.02, seed=3).lost(STREAMS, INDEX)
    assert lost.mean() == pytest.approx(0.02, abs=0.002)
    assert (lost == Network(loss=0.02, seed=3).lost(STREAMS, INDEX)).all()
    assert (lost != Network(loss=0.02, seed=4).lost(STREAMS, INDEX)).any()
    assert lost.any(axis=0).mean() > 0.99  # of every stream


def test_one_packet_alone_has_the_fate_that_it_has_among_others() -> None:
    network = Network(loss=0.5, jitter_ms=40)
    assert bool(network.lost(7, 9)[0]) == network.lost(STREAMS, INDEX)[9, 7]
    assert int(network.delays(7, 9)[0]) == network.delays(STREAMS, INDEX)[9, 7]


def test_jitter_stays_within_what_was_asked_and_with_its_socket() -> None:
    network = Network(jitter_ms=40)
    delays = network.delays(STREAMS, INDEX)
    assert (delays % SOCKETS == 0).all()
    assert (delays.min() * SLOT_NS, delays.max() * SLOT_NS) == (0, 40_000_000)
    assert network.cycles == -(-(SLOTS - 1 + int(delays.max())) // SLOTS)


def test_a_reordered_packet_is_overtaken_by_the_next_and_no_other() -> None:
    delays = Network(reorder=0.1).delays(STREAMS, INDEX)
    assert (delays > 0).mean() == pytest.approx(0.1, abs=0.01)
    late = delays[delays > 0]
    assert ((late > SLOTS) & (late < 2 * SLOTS)).all()
