"""Alembic's way in: runs the migrations on the connection it is handed, inside the caller's transaction."""

from alembic import context

from studio.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
context.run_migrations()
