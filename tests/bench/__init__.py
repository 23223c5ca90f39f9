"""How fast, how lean, how faithful: the proxy measured against its demands and against rtpengine.

Run by `scripts/bench`; the plain suite only tests the tool itself (`test_*.py`). The method:

* The same generator, calls and files for both, in turn, within one run; medians, and ratios of them.
* Real sockets on loopback, the real `mediaproxy serve` set up by real SIP; rtpengine by its own protocol.
* Every packet is stamped before it is sent and timed by the kernel on arrival (`generator`), compared
  byte for byte, and accounted for (`traffic.Books`): what is missing was lost by the proxy, or the round
  is not sound. The sink wakes by the clock, so no proxy pays for waking it.
* Every recording is held against what was spoken (`recordings`; rtpengine's captures in `rtpengine`).
* CPU is user and system time of all the proxy's processes and threads over the span (`cpu`), divided by
  the packets that arrived within it.
"""
