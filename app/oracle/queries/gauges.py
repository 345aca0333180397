"""What /metrics tells of prices. O(feeds + sources)."""

from __future__ import annotations

from app.core.metrics import SqlGauge

GAUGES = (
    SqlGauge(
        "watchkeeper_price_age_seconds",
        "Age of each feed's latest price",
        """
        SELECT symbol, extract(epoch FROM statement_timestamp() - publish_time) FROM oracle_feeds
        WHERE publish_time IS NOT NULL
        """,
        ("symbol",),
    ),
    SqlGauge(
        "watchkeeper_feeds_without_price",
        "Feeds that are followed and never had a price",
        "SELECT count(*) FROM oracle_feeds WHERE publish_time IS NULL",
    ),
    SqlGauge(
        "watchkeeper_source_age_seconds",
        "Age of what each source beside Pyth last said of a symbol",
        """
        SELECT symbol, source, extract(epoch FROM statement_timestamp() - observed_at) FROM oracle_quotes
        WHERE observed_at IS NOT NULL
        """,
        ("symbol", "source"),
    ),
    SqlGauge(
        "watchkeeper_source_flawed",
        "1 where the last asking of a source came to no price, by its flaw",
        "SELECT symbol, source, flaw, 1 FROM oracle_quotes WHERE flaw IS NOT NULL",
        ("symbol", "source", "flaw"),
    ),
    SqlGauge(
        "watchkeeper_sequencer_up",
        "1 while a chain's sequencer-uptime feed says that it runs",
        "SELECT chain_id::text, up::int FROM oracle_sequencers",
        ("chain_id",),
    ),
)
