"""What the operator sees: log lines, metrics; and what nobody may see: our memory in a core dump."""

from mediaproxy.observe.harden import die_with_parent, harden_process
from mediaproxy.observe.logs import configure_logging
from mediaproxy.observe.metrics import Metrics

__all__ = ["Metrics", "configure_logging", "die_with_parent", "harden_process"]
