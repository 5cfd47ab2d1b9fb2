"""What system calls are for: a kind for each, so that a trace can be summed up in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

_TABLES: Final = {
    "file I/O": """open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv preadv2
        pwritev pwritev2 lseek sendfile splice tee copy_file_range fsync fdatasync sync_file_range ftruncate truncate
        fallocate fadvise64 readahead flock dup dup2 dup3 fcntl ioctl pipe pipe2 memfd_create""",
    "file names and attributes": """stat lstat fstat newfstatat fstatat64 statx access faccessat faccessat2 readlink
        readlinkat getdents getdents64 mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink
        symlinkat chdir fchdir getcwd chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes
        utimensat futimesat futimens getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr
        removexattr umask statfs fstatfs inotify_init1 inotify_add_watch mknod mknodat""",
    "memory": """mmap munmap mremap mprotect brk madvise msync mlock mlock2 munlock mincore mbind set_mempolicy
        get_mempolicy membarrier""",
    "processes and threads": """execve execveat fork vfork clone clone3 exit exit_group wait4 waitid waitpid kill tkill
        tgkill pidfd_open pidfd_send_signal set_tid_address set_robust_list get_robust_list rseq arch_prctl prctl
        prlimit64 getrlimit setrlimit sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler getcpu
        getpriority setpriority rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend sigaltstack
        unshare setns setsid setpgid""",
    "waiting": """futex futex_waitv poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait
        epoll_pwait2 nanosleep clock_nanosleep sched_yield pause alarm setitimer getitimer timerfd_create
        timerfd_settime eventfd eventfd2 restart_syscall""",
    "network": """socket socketpair connect accept accept4 bind listen shutdown recv recvfrom recvmsg recvmmsg send
        sendto sendmsg sendmmsg getsockopt setsockopt getsockname getpeername""",
    "randomness": "getrandom",
    "questions to the kernel": """getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getresuid
        getresgid getgroups uname sysinfo clock_gettime clock_getres gettimeofday time times getrusage capget""",
}
KINDS: Final = {name: kind for kind, names in _TABLES.items() for name in names.split()}
"""The kind of each call known here."""

OTHER: Final = "other"


def kind(name: str) -> str:
    """What a call is for; `other` where it is not known here."""
    return KINDS.get(name, OTHER)


def by_kind(figures: Mapping[str, int]) -> dict[str, int]:
    """Figures of calls (numbers, microseconds) summed up by kind, the largest first."""
    found = Counter[str]()
    for name, figure in figures.items():
        found[kind(name)] += figure
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
