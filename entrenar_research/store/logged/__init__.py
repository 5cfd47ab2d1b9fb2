"""What runs logged: open event logs, Parquet once sealed, and notes."""
