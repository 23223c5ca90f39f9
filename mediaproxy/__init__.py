"""A real-time SIP/RTP media proxy that records calls on demand, to the exact sample."""

__version__ = "0.1.0"
