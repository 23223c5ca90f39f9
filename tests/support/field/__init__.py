"""The field: two senders and a network as they are, in virtual time, and how true the recording is.

`python -m tests.support.field` prints what each class of conditions costs: audio let in from outside an
interval, audio lost inside, and how far from its moment it stands. It knows nothing of the rule.
"""
