"""When a recording was deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("recordings", sa.Column("deleted_at_ms", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("recordings", "deleted_at_ms")
