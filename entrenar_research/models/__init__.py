"""The nouns: frozen, typed records, one file per noun. They import nothing of ours."""
