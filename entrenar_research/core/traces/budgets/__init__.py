"""What traces are held to: assertions, and the quantities they ask about."""
