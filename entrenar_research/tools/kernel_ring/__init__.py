"""Tracing with what the kernel has: a seccomp filter, ptrace stops at the few calls that need them, and perf rings.

`launch` is the program that runs a command traced and writes the log (`log`): it follows the command from stop to stop
(`stops`) and, at the level `full`, has all calls recorded by the kernel (`perf`, `reader`). `reading` makes calls of
the log.
"""
