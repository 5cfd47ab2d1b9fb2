"""What is cited: people, identifiers, licences, and the text of a citation."""
