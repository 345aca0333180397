"""Contracts that factories made; markets without a price feed; and reading words in SQL, for the views of decoded events"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_protocols"
down_revision = "0010_transaction_lists"
branch_labels = None
depends_on = None

# None of these fails, whatever the bytes are: a view is read row by row in the planner's order, past rows that a
# condition would have left out.
FUNCTIONS = (
    # A word as a whole number. Five pieces of 56 bits: a bigint holds each, and its sign stays out of it.
    """
    CREATE FUNCTION chain_uint(word bytea) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT (((p1 * c + p2) * c + p3) * c + p4) * c + p5
        FROM (SELECT 72057594037927936::numeric AS c,
                     ('x' || substr(hex, 1, 14))::bit(56)::bigint AS p1,
                     ('x' || substr(hex, 15, 14))::bit(56)::bigint AS p2,
                     ('x' || substr(hex, 29, 14))::bit(56)::bigint AS p3,
                     ('x' || substr(hex, 43, 14))::bit(56)::bigint AS p4,
                     ('x' || substr(hex, 57, 14))::bit(56)::bigint AS p5
              FROM (SELECT lpad(encode(word, 'hex'), 70, '0') AS hex) AS padded) AS pieces
    $$
    """,
    # The same in two's complement; a narrower signed number fills its word with its sign.
    """
    CREATE FUNCTION chain_int(word bytea) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT chain_uint(word) - CASE
            WHEN substring(word FROM 1 FOR 1) >= '\\x80'::bytea
            THEN 115792089237316195423570985008687907853269984665640564039457584007913129639936 ELSE 0 END
    $$
    """,
    # What the offset at a place of the data's head points to, up to the data's end; null when it points outside.
    """
    CREATE FUNCTION chain_tail(data bytea, place integer) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT CASE WHEN start <= length(data) THEN substring(data FROM start::integer + 1) END
        FROM (SELECT chain_uint(substring(data FROM place * 32 + 1 FOR 32)) AS start) AS pointed
    $$
    """,
    # The content of `bytes` at a place of the head; null when its length does not fit the data.
    """
    CREATE FUNCTION chain_bytes(data bytea, place integer) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT CASE WHEN size <= length(tail) - 32 THEN substring(tail FROM 33 FOR size::integer) END
        FROM (SELECT tail, chain_uint(substring(tail FROM 1 FOR 32)) AS size
              FROM (SELECT chain_tail(data, place) AS tail) AS pointed) AS measured
    $$
    """,
    # The same as text; null when it is not UTF-8, or holds a NUL, which Postgres's text cannot.
    """
    CREATE FUNCTION chain_text(data bytea, place integer) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
    BEGIN
        RETURN convert_from(chain_bytes(data, place), 'UTF8');
    EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
        RETURN NULL;
    END
    $$
    """,
)


def upgrade() -> None:
    op.create_table(
        "chain_children",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "protocol", "address", name="pk_chain_children"),
    )
    op.create_index("ix_chain_children_block", "chain_children", ["chain_id", "block_number"])
    op.alter_column("perps_markets", "pyth_price_id", existing_type=sa.LargeBinary(), nullable=True)
    for function in FUNCTIONS:
        op.execute(function)


def downgrade() -> None:
    op.execute("DELETE FROM perps_markets WHERE pyth_price_id IS NULL")  # there was no room for them
    op.alter_column("perps_markets", "pyth_price_id", existing_type=sa.LargeBinary(), nullable=False)
    op.drop_table("chain_children")
    for signature in (
        "chain_text(bytea, integer)",
        "chain_bytes(bytea, integer)",
        "chain_tail(bytea, integer)",
        "chain_int(bytea)",
        "chain_uint(bytea)",
    ):
        op.execute(f"DROP FUNCTION {signature}")
