"""Calls, who was on them, their recordings, and the heartbeat."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("sip_call_id", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("from_user", sa.Text, nullable=False),
        sa.Column("to_user", sa.Text, nullable=False),
        sa.Column("from_uri", sa.Text, nullable=False),
        sa.Column("to_uri", sa.Text, nullable=False),
        sa.Column("from_name", sa.Text),
        sa.Column("agent", sa.Text),
        sa.Column("trunk", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("answered_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("disposition", sa.Text),
        sa.Column("sip_status", sa.Integer),
        sa.Column("ended_by", sa.Text),
        sa.Column("participants", sa.Text, nullable=False),
    )
    op.create_index("calls_by_start", "calls", ["started_at_ms", "id"])
    op.create_index("calls_by_state", "calls", ["state", "started_at_ms", "id"])
    op.create_index("calls_by_from", "calls", ["from_user", "started_at_ms", "id"])
    op.create_index("calls_by_to", "calls", ["to_user", "started_at_ms", "id"])
    op.create_index("calls_by_sip_call_id", "calls", ["sip_call_id"])
    op.create_table(
        "call_agents",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("started_at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("call_id", sa.String(36), primary_key=True),
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("sample_rate", sa.Integer, nullable=False),
        sa.Column("duration_samples", sa.BigInteger, nullable=False),
        sa.Column("recorded_samples", sa.BigInteger, nullable=False),
        sa.Column("intervals", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("file", sa.Text),
        sa.Column("manifest", sa.Text),
        sa.Column("sha256", sa.String(64)),
    )
    op.create_index("recordings_by_call", "recordings", ["call_id"], unique=True)
    op.create_index("recordings_by_result", "recordings", ["result"])
    op.create_table(
        "heartbeat",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in ("heartbeat", "recordings", "call_agents", "calls"):
        op.drop_table(table)
