"""RTP, RTCP and telephone-events as bytes and integers. Pure."""
