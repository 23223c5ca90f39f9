"""SDP (RFC 4566) and offer/answer (RFC 3264): read what we need, edit only what is ours. Pure."""
