"""SIP (RFC 3261) without input or output: messages, transactions, dialogs, framing. Pure."""
