"""The tables, as SQLAlchemy knows them. `migrations/` builds them; a test holds the two together.

Times are Unix ms and positions samples, so both fit a 64-bit integer anywhere. Lists are JSON text:
they are read and written whole, never searched.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

ID_LENGTH = 36  # a UUID's text

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("sip_call_id", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("from_user", Text, nullable=False),
    Column("to_user", Text, nullable=False),
    Column("from_uri", Text, nullable=False),
    Column("to_uri", Text, nullable=False),
    Column("from_name", Text),
    Column("agent", Text),
    Column("trunk", Text),
    Column("state", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("answered_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("disposition", Text),
    Column("sip_status", Integer),
    Column("ended_by", Text),
    Column("participants", Text, nullable=False),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Index("calls_by_start", "started_at_ms", "id"),
    Index("calls_by_state", "state", "started_at_ms", "id"),
    Index("calls_by_from", "from_user", "started_at_ms", "id"),
    Index("calls_by_to", "to_user", "started_at_ms", "id"),
    Index("calls_by_sip_call_id", "sip_call_id"),
)

# Who was ever on a call: an internal call has two agents, a transfer adds more. The key is the order
# in which an agent's calls are listed.
call_agents = Table(
    "call_agents",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("started_at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("call_id", String(ID_LENGTH), primary_key=True),
)

# Which calls ever had that key and value, to find them by; what a call has now stands in its row.
call_metadata = Table(
    "call_metadata",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("call_id", String(ID_LENGTH), primary_key=True),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("call_id", String(ID_LENGTH), nullable=False),
    Column("state", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("sample_rate", Integer, nullable=False),
    Column("duration_samples", BigInteger, nullable=False),
    Column("recorded_samples", BigInteger, nullable=False),
    Column("intervals", Text, nullable=False),
    Column("result", Text),
    Column("reasons", Text, nullable=False),
    Column("file", Text),
    Column("manifest", Text),
    Column("sha256", String(64)),
    Column("deleted_at_ms", BigInteger),
    Index("recordings_by_call", "call_id", unique=True),
    Index("recordings_by_result", "result"),
)

# A row a message and webhook; what was posted is kept for a while, to be posted again.
webhook_outbox = Table(
    "webhook_outbox",
    metadata,
    Column("webhook", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("call_id", String(ID_LENGTH)),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at_ms", BigInteger, nullable=False),
    Column("tried_at_ms", BigInteger),
    Column("status", Integer),
    Column("error", Text),
    Index("webhook_outbox_by_due", "webhook", "state", "next_at_ms"),
    Index("webhook_outbox_by_age", "created_at_ms"),
)

# One row: when a process of ours last had a live call, so that a crash can be dated.
heartbeat = Table(
    "heartbeat",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
)
