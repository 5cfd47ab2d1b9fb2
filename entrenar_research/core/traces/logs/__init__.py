"""Traces as other tools write them: strace's logs in every form, renacer's documents."""
