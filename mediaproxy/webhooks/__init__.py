"""Posting events to whoever wants them: the signature, which addresses may be posted to, one request."""
