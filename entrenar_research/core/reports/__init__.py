"""What was checked and how it came out, for machines that show test results (JUnit) and for people (Markdown)."""
