"""Performance over time. Times compare only on one machine; the ``track_`` ratios mean something on any."""
