"""What continuous integration is told, so that golden traces are checked on every change: one file a provider."""
