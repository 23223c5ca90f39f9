"""Alembic's entry: runs on the connection that `database.migrate` hands over, in one transaction."""

from alembic import context

from mediaproxy.calllog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
