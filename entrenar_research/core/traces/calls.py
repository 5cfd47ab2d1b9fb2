"""Which system calls a normalised trace tells, and how: tables of their names (Linux, all architectures)."""

from __future__ import annotations

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MEMORY: Final = _names(
    """brk munmap mprotect madvise mremap mbind set_mempolicy get_mempolicy mlock munlock mlock2 mincore
    msync"""
)
_THREADS_AND_SIGNALS: Final = _names(
    """futex futex_waitv sched_yield set_robust_list get_robust_list rseq set_tid_address arch_prctl prctl
    membarrier sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler getcpu
    getpriority rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend sigaltstack
    restart_syscall"""
)
_TIME_AND_WAITING: Final = _names(
    """clock_gettime clock_getres gettimeofday time times getrusage nanosleep clock_nanosleep alarm
    setitimer getitimer poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2 epoll_ctl
    wait4 waitid waitpid pause timerfd_settime"""
)
_IDENTITY_AND_LIMITS: Final = _names(
    """getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getresuid getresgid
    getgroups getcwd umask uname sysinfo prlimit64 getrlimit setrlimit statfs fstatfs capget"""
)
_QUESTIONS_ABOUT_DESCRIPTORS: Final = _names(
    """fstat ioctl fcntl dup dup2 dup3 close_range fadvise64 readahead getsockopt getsockname getpeername"""
)
# What ends is told from the processes themselves.
_ENDS: Final = _names("""exit exit_group""")

UNTOLD: Final = (
    _MEMORY | _THREADS_AND_SIGNALS | _TIME_AND_WAITING | _IDENTITY_AND_LIMITS | _QUESTIONS_ABOUT_DESCRIPTORS | _ENDS
)
"""Calls that do not repeat in number or in content, or that say nothing of what the program does outside."""

LOOKS: Final = _names(
    """stat lstat newfstatat fstatat64 statx access faccessat faccessat2 readlink readlinkat getxattr
    lgetxattr listxattr llistxattr"""
)
"""Calls that ask about a path."""

OPENS: Final = _names("""open openat openat2 creat""")
"""Calls that open a path."""

TRANSFERS: Final = _names(
    """read write readv writev recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg sendfile splice"""
)
"""Calls that move bytes from or to where a descriptor stands: how many at once is a matter of buffers."""

ON_DESCRIPTORS: Final = _names(
    """pread64 pwrite64 preadv preadv2 pwritev pwritev2 lseek ftruncate fallocate fsync fdatasync flock
    fchmod fchown copy_file_range mmap getdents getdents64 close fchdir sync_file_range futimens"""
)
"""Calls that act on an open file."""

ON_PATHS: Final = _names(
    """mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chdir
    chroot chmod fchmodat fchmodat2 chown lchown fchownat truncate utime utimes utimensat futimesat
    mknod mknodat mount umount umount2 pivot_root setxattr lsetxattr removexattr lremovexattr
    inotify_add_watch"""
)
"""Calls whose strings are paths. The strings of calls in no table here are taken for contents."""

EXECUTIONS: Final = _names("""execve execveat""")
"""Calls that begin another program."""

SIGNALS: Final = _names("""kill tkill tgkill pidfd_send_signal""")
"""Calls that signal: all arguments but the last are process numbers."""

TRANSIENT: Final = _names("""EAGAIN EINTR ERESTARTSYS ERESTARTNOINTR ERESTARTNOHAND ERESTART_RESTARTBLOCK""")
"""Failures that the kernel or the program answers by trying again."""

_NAMES_ONE: Final = _names("""getxattr lgetxattr listxattr llistxattr setxattr lsetxattr removexattr lremovexattr""")


def paths_among(name: str) -> int:
    """How many of the strings of a call in `LOOKS` or `ON_PATHS` are paths, from the first on.

    What follows them is contents: the value of an attribute, the options of a file system, a password among them.
    """
    if name in _NAMES_ONE:
        return 1
    return 2
