"""Synthetic parties: telephones with real SIP and real RTP, for the demo and for load."""
