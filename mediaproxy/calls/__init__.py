"""Calls: routing, the coupling of two legs, and what is asked of the media plane. Pure."""
