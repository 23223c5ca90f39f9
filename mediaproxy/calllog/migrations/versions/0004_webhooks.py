"""What is to be posted to webhooks, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "webhook_outbox",
        sa.Column("webhook", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("call_id", sa.String(36)),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at_ms", sa.BigInteger, nullable=False),
        sa.Column("tried_at_ms", sa.BigInteger),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
    )
    op.create_index("webhook_outbox_by_due", "webhook_outbox", ["webhook", "state", "next_at_ms"])
    op.create_index("webhook_outbox_by_age", "webhook_outbox", ["created_at_ms"])


def downgrade() -> None:
    op.drop_table("webhook_outbox")
