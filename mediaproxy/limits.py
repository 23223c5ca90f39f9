"""Every limit that guards us against a peer, in one place."""

MAX_SIP_MESSAGE_BYTES = 65_535
MAX_SIP_HEADERS = 256
MAX_SIP_HEADER_BYTES = 8_192
MAX_SDP_BYTES = 32_768
MAX_SDP_LINES = 1_024
MAX_RTP_BYTES = 1_472  # what one unfragmented Ethernet packet carries; larger is counted and dropped
MAX_STREAMS_PER_LEG = 4  # SSRCs that are placed on the call clock at once
MAX_SIP_TRANSACTIONS = 50_000  # beyond it a new request is answered 503; each lives up to 32 s
MAX_SIP_CONNECTIONS = 4_096  # TCP, both ways
MAX_SIP_CONNECTIONS_PER_SOURCE = 1_024  # of these, accepted from one address or IPv6 prefix
MAX_SIP_UNSENT_BYTES = 1_048_576  # a connection whose peer reads slower than this is closed
MAX_NONCES = 65_536  # with which somebody has proven a password lately
MAX_CONTACTS_PER_AGENT = 10
MAX_CONTACTS = 20_000  # of all agents together
MAX_PATH = 8  # proxies between an agent and us (RFC 3327)
MAX_SUSPECTS = 10_000  # hosts of which failed attempts are remembered
