"""Other trackers' records: their framing, their fields, and what they mean here."""
