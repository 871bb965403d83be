"""The pieces that tables are made of: one registry with a naming rule, and the columns that many share."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Column, MetaData
from sqlalchemy.dialects import postgresql as pg

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def moment(name: str, *, optional: bool = True) -> Column[datetime]:
    """A point in time; one that is not optional is the time of the insert."""
    default = None if optional else sa.func.now()
    return Column(name, sa.TIMESTAMP(timezone=True), nullable=optional, server_default=default)


def words(name: str) -> Column[str]:
    """Text that is always there."""
    return Column(name, sa.Text, nullable=False)


def one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    """A check that the column holds one of these words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def id_column() -> Column[UUID]:
    """The primary key; a uuid7, so that new rows land at the right edge of every index."""
    return Column("id", pg.UUID(as_uuid=True), primary_key=True)
