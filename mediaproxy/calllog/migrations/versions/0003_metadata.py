"""What calls are about, and an index of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("calls", sa.Column("metadata", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "call_metadata",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("call_id", sa.String(36), primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("call_metadata")
    op.drop_column("calls", "metadata")
