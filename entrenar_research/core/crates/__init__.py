"""RO-Crates: their metadata, their people and files, and the check of one."""
