"""Numbers of arguments as names: flags and choices, in the order in which strace writes them.

A line is a kind of `prototypes.py`, then `bits` or `one`, then names with their values in octal (0o), hexadecimal (0x)
or decimal. Of bits a name whose value is 0 stands for none of them. Source: the headers of Linux 6.18 (include/uapi).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

_TEXT: Final = """
access bits F_OK=0 R_OK=4 W_OK=2 X_OK=1
at bits AT_SYMLINK_NOFOLLOW=0x100 AT_REMOVEDIR=0x200 AT_SYMLINK_FOLLOW=0x400 AT_NO_AUTOMOUNT=0x800 \
AT_EMPTY_PATH=0x1000
unlink bits AT_REMOVEDIR=0x200
statx bits AT_STATX_SYNC_AS_STAT=0 AT_STATX_FORCE_SYNC=0x2000 AT_STATX_DONT_SYNC=0x4000 AT_SYMLINK_NOFOLLOW=0x100 \
AT_NO_AUTOMOUNT=0x800 AT_EMPTY_PATH=0x1000
statxmask bits STATX_ALL=0xfff STATX_BASIC_STATS=0x7ff STATX_TYPE=0x1 STATX_MODE=0x2 STATX_NLINK=0x4 STATX_UID=0x8 \
STATX_GID=0x10 STATX_ATIME=0x20 STATX_MTIME=0x40 STATX_CTIME=0x80 STATX_INO=0x100 STATX_SIZE=0x200 \
STATX_BLOCKS=0x400 STATX_BTIME=0x800 STATX_MNT_ID=0x1000
prot bits PROT_NONE=0 PROT_READ=1 PROT_WRITE=2 PROT_EXEC=4 PROT_SEM=8
seek one SEEK_SET=0 SEEK_CUR=1 SEEK_END=2 SEEK_DATA=3 SEEK_HOLE=4
fallocate bits FALLOC_FL_KEEP_SIZE=1 FALLOC_FL_PUNCH_HOLE=2 FALLOC_FL_NO_HIDE_STALE=4 FALLOC_FL_COLLAPSE_RANGE=8 \
FALLOC_FL_ZERO_RANGE=16 FALLOC_FL_INSERT_RANGE=32 FALLOC_FL_UNSHARE_RANGE=64
fadvise one POSIX_FADV_NORMAL=0 POSIX_FADV_RANDOM=1 POSIX_FADV_SEQUENTIAL=2 POSIX_FADV_WILLNEED=3 \
POSIX_FADV_DONTNEED=4 POSIX_FADV_NOREUSE=5
flock bits LOCK_SH=1 LOCK_EX=2 LOCK_UN=8 LOCK_NB=4
syncrange bits SYNC_FILE_RANGE_WAIT_BEFORE=1 SYNC_FILE_RANGE_WRITE=2 SYNC_FILE_RANGE_WAIT_AFTER=4
splice bits SPLICE_F_MOVE=1 SPLICE_F_NONBLOCK=2 SPLICE_F_MORE=4 SPLICE_F_GIFT=8
rwf bits RWF_HIPRI=1 RWF_DSYNC=2 RWF_SYNC=4 RWF_NOWAIT=8 RWF_APPEND=16
rename bits RENAME_NOREPLACE=1 RENAME_EXCHANGE=2 RENAME_WHITEOUT=4
closerange bits CLOSE_RANGE_UNSHARE=2 CLOSE_RANGE_CLOEXEC=4
umount bits MNT_FORCE=1 MNT_DETACH=2 MNT_EXPIRE=4 UMOUNT_NOFOLLOW=8
xattr bits XATTR_CREATE=1 XATTR_REPLACE=2
msync bits MS_ASYNC=1 MS_INVALIDATE=2 MS_SYNC=4
random bits GRND_NONBLOCK=1 GRND_RANDOM=2 GRND_INSECURE=4
fcntl one F_DUPFD=0 F_GETFD=1 F_SETFD=2 F_GETFL=3 F_SETFL=4 F_GETLK=5 F_SETLK=6 F_SETLKW=7 F_SETOWN=8 F_GETOWN=9 \
F_OFD_GETLK=36 F_OFD_SETLK=37 F_OFD_SETLKW=38 F_SETLEASE=1024 F_GETLEASE=1025 F_NOTIFY=1026 F_DUPFD_CLOEXEC=1030 \
F_SETPIPE_SZ=1031 F_GETPIPE_SZ=1032 F_ADD_SEALS=1033 F_GET_SEALS=1034
clock one CLOCK_REALTIME=0 CLOCK_MONOTONIC=1 CLOCK_PROCESS_CPUTIME_ID=2 CLOCK_THREAD_CPUTIME_ID=3 \
CLOCK_MONOTONIC_RAW=4 CLOCK_REALTIME_COARSE=5 CLOCK_MONOTONIC_COARSE=6 CLOCK_BOOTTIME=7 CLOCK_REALTIME_ALARM=8 \
CLOCK_BOOTTIME_ALARM=9 CLOCK_TAI=11
epoll bits EPOLL_CLOEXEC=0o2000000
epollctl one EPOLL_CTL_ADD=1 EPOLL_CTL_DEL=2 EPOLL_CTL_MOD=3
eventfd bits EFD_SEMAPHORE=1 EFD_CLOEXEC=0o2000000 EFD_NONBLOCK=0o4000
signalfd bits SFD_CLOEXEC=0o2000000 SFD_NONBLOCK=0o4000
timerfd bits TFD_CLOEXEC=0o2000000 TFD_NONBLOCK=0o4000
timerset bits TFD_TIMER_ABSTIME=1 TFD_TIMER_CANCEL_ON_SET=2
inotifyinit bits IN_NONBLOCK=0o4000 IN_CLOEXEC=0o2000000
inotify bits IN_ACCESS=1 IN_MODIFY=2 IN_ATTRIB=4 IN_CLOSE_WRITE=8 IN_CLOSE_NOWRITE=0x10 IN_OPEN=0x20 \
IN_MOVED_FROM=0x40 IN_MOVED_TO=0x80 IN_CREATE=0x100 IN_DELETE=0x200 IN_DELETE_SELF=0x400 IN_MOVE_SELF=0x800 \
IN_UNMOUNT=0x2000 IN_Q_OVERFLOW=0x4000 IN_IGNORED=0x8000 IN_ONLYDIR=0x1000000 IN_DONT_FOLLOW=0x2000000 \
IN_EXCL_UNLINK=0x4000000 IN_MASK_CREATE=0x10000000 IN_MASK_ADD=0x20000000 IN_ISDIR=0x40000000 IN_ONESHOT=0x80000000
memfd bits MFD_CLOEXEC=1 MFD_ALLOW_SEALING=2 MFD_HUGETLB=4 MFD_NOEXEC_SEAL=8 MFD_EXEC=0x10
pidfd bits PIDFD_NONBLOCK=0o4000
wait bits WNOHANG=1 WSTOPPED=2 WEXITED=4 WCONTINUED=8 WNOWAIT=0x1000000 __WNOTHREAD=0x20000000 __WALL=0x40000000 \
__WCLONE=0x80000000
family one AF_UNSPEC=0 AF_UNIX=1 AF_INET=2 AF_AX25=3 AF_INET6=10 AF_KEY=15 AF_NETLINK=16 AF_PACKET=17 AF_ALG=38 \
AF_VSOCK=40 AF_XDP=44
socktype one SOCK_STREAM=1 SOCK_DGRAM=2 SOCK_RAW=3 SOCK_RDM=4 SOCK_SEQPACKET=5 SOCK_DCCP=6 SOCK_PACKET=10
sockflags bits SOCK_CLOEXEC=0o2000000 SOCK_NONBLOCK=0o4000
shutdown one SHUT_RD=0 SHUT_WR=1 SHUT_RDWR=2
msg bits MSG_OOB=1 MSG_PEEK=2 MSG_DONTROUTE=4 MSG_CTRUNC=8 MSG_PROBE=0x10 MSG_TRUNC=0x20 MSG_DONTWAIT=0x40 \
MSG_EOR=0x80 MSG_WAITALL=0x100 MSG_CONFIRM=0x800 MSG_ERRQUEUE=0x2000 MSG_NOSIGNAL=0x4000 MSG_MORE=0x8000 \
MSG_WAITFORONE=0x10000 MSG_CMSG_CLOEXEC=0x40000000
level one SOL_IP=0 SOL_SOCKET=1 SOL_TCP=6 SOL_UDP=17 SOL_IPV6=41 SOL_ICMPV6=58 SOL_RAW=255 SOL_PACKET=263 \
SOL_NETLINK=270 SOL_ALG=279
proto2 one IPPROTO_IP=0 IPPROTO_ICMP=1 IPPROTO_TCP=6 IPPROTO_UDP=17 IPPROTO_ICMPV6=58 IPPROTO_SCTP=132 \
IPPROTO_RAW=255 IPPROTO_MPTCP=262
proto16 one NETLINK_ROUTE=0 NETLINK_USERSOCK=2 NETLINK_SOCK_DIAG=4 NETLINK_AUDIT=9 NETLINK_NETFILTER=12 \
NETLINK_KOBJECT_UEVENT=15 NETLINK_GENERIC=16
sockopt1 one SO_DEBUG=1 SO_REUSEADDR=2 SO_TYPE=3 SO_ERROR=4 SO_DONTROUTE=5 SO_BROADCAST=6 SO_SNDBUF=7 SO_RCVBUF=8 \
SO_KEEPALIVE=9 SO_OOBINLINE=10 SO_NO_CHECK=11 SO_PRIORITY=12 SO_LINGER=13 SO_BSDCOMPAT=14 SO_REUSEPORT=15 \
SO_PASSCRED=16 SO_PEERCRED=17 SO_RCVLOWAT=18 SO_SNDLOWAT=19 SO_RCVTIMEO_OLD=20 SO_SNDTIMEO_OLD=21 \
SO_SECURITY_AUTHENTICATION=22 SO_SECURITY_ENCRYPTION_TRANSPORT=23 SO_SECURITY_ENCRYPTION_NETWORK=24 \
SO_BINDTODEVICE=25 SO_ATTACH_FILTER=26 SO_DETACH_FILTER=27 SO_PEERNAME=28 SO_TIMESTAMP_OLD=29 SO_ACCEPTCONN=30 \
SO_PEERSEC=31 SO_SNDBUFFORCE=32 SO_RCVBUFFORCE=33 SO_PASSSEC=34 SO_TIMESTAMPNS_OLD=35 SO_MARK=36 \
SO_TIMESTAMPING_OLD=37 SO_PROTOCOL=38 SO_DOMAIN=39 SO_RXQ_OVFL=40 SO_WIFI_STATUS=41 SO_PEEK_OFF=42 SO_NOFCS=43 \
SO_LOCK_FILTER=44 SO_SELECT_ERR_QUEUE=45 SO_BUSY_POLL=46 SO_MAX_PACING_RATE=47 SO_BPF_EXTENSIONS=48 \
SO_INCOMING_CPU=49 SO_ATTACH_BPF=50 SO_ATTACH_REUSEPORT_CBPF=51 SO_ATTACH_REUSEPORT_EBPF=52 SO_CNX_ADVICE=53 \
SO_MEMINFO=55 SO_INCOMING_NAPI_ID=56 SO_COOKIE=57 SO_PEERGROUPS=59 SO_ZEROCOPY=60 SO_TXTIME=61
sockopt0 one IP_TOS=1 IP_TTL=2 IP_HDRINCL=3 IP_OPTIONS=4 IP_ROUTER_ALERT=5 IP_RECVOPTS=6 IP_RETOPTS=7 IP_PKTINFO=8 \
IP_PKTOPTIONS=9 IP_MTU_DISCOVER=10 IP_RECVERR=11 IP_RECVTTL=12 IP_RECVTOS=13 IP_MTU=14 IP_FREEBIND=15 IP_PASSSEC=18 \
IP_TRANSPARENT=19 IP_ORIGDSTADDR=20 IP_MINTTL=21 IP_NODEFRAG=22 IP_CHECKSUM=23 IP_BIND_ADDRESS_NO_PORT=24 \
IP_MULTICAST_IF=32 IP_MULTICAST_TTL=33 IP_MULTICAST_LOOP=34 IP_ADD_MEMBERSHIP=35 IP_DROP_MEMBERSHIP=36
sockopt6 one TCP_NODELAY=1 TCP_MAXSEG=2 TCP_CORK=3 TCP_KEEPIDLE=4 TCP_KEEPINTVL=5 TCP_KEEPCNT=6 TCP_SYNCNT=7 \
TCP_LINGER2=8 TCP_DEFER_ACCEPT=9 TCP_WINDOW_CLAMP=10 TCP_INFO=11 TCP_QUICKACK=12 TCP_CONGESTION=13 TCP_MD5SIG=14 \
TCP_THIN_LINEAR_TIMEOUTS=16 TCP_THIN_DUPACK=17 TCP_USER_TIMEOUT=18 TCP_REPAIR=19 TCP_FASTOPEN=23 TCP_TIMESTAMP=24 \
TCP_NOTSENT_LOWAT=25 TCP_CC_INFO=26 TCP_SAVE_SYN=27 TCP_SAVED_SYN=28 TCP_FASTOPEN_CONNECT=30 TCP_ULP=31 TCP_INQ=36
sockopt41 one IPV6_UNICAST_HOPS=16 IPV6_MULTICAST_IF=17 IPV6_MULTICAST_HOPS=18 IPV6_MULTICAST_LOOP=19 \
IPV6_MTU_DISCOVER=23 IPV6_RECVERR=25 IPV6_V6ONLY=26 IPV6_RECVPKTINFO=49 IPV6_TCLASS=67
clonebits bits CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_PIDFD=0x1000 \
CLONE_PTRACE=0x2000 CLONE_VFORK=0x4000 CLONE_PARENT=0x8000 CLONE_THREAD=0x10000 CLONE_NEWNS=0x20000 \
CLONE_SYSVSEM=0x40000 CLONE_SETTLS=0x80000 CLONE_PARENT_SETTID=0x100000 CLONE_CHILD_CLEARTID=0x200000 \
CLONE_UNTRACED=0x800000 CLONE_CHILD_SETTID=0x1000000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000 \
CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000 CLONE_NEWNET=0x40000000 CLONE_IO=0x80000000 \
CLONE_CLEAR_SIGHAND=0x100000000 CLONE_INTO_CGROUP=0x200000000
maptype one MAP_SHARED=1 MAP_PRIVATE=2 MAP_SHARED_VALIDATE=3
mapbits bits MAP_FIXED=0x10 MAP_ANONYMOUS=0x20 MAP_32BIT=0x40 MAP_NORESERVE=0x4000 MAP_POPULATE=0x8000 \
MAP_NONBLOCK=0x10000 MAP_GROWSDOWN=0x100 MAP_DENYWRITE=0x800 MAP_EXECUTABLE=0x1000 MAP_LOCKED=0x2000 \
MAP_STACK=0x20000 MAP_HUGETLB=0x40000 MAP_SYNC=0x80000 MAP_FIXED_NOREPLACE=0x100000
"""
# The flags of open that processors have different numbers for come last (asm/fcntl.h).
_OPEN: Final = """bits O_CREAT=0o100 O_EXCL=0o200 O_NOCTTY=0o400 O_TRUNC=0o1000 O_APPEND=0o2000 O_NONBLOCK=0o4000 \
O_SYNC=0o4010000 O_DSYNC=0o10000 """
_OPEN_OF: Final = {
    "x86_64": "O_DIRECT=0o40000 O_LARGEFILE=0o100000 O_NOFOLLOW=0o400000 O_TMPFILE=0o20200000 O_DIRECTORY=0o200000 ",
    "aarch64": "O_DIRECT=0o200000 O_LARGEFILE=0o400000 O_NOFOLLOW=0o100000 O_TMPFILE=0o20040000 O_DIRECTORY=0o40000 ",
}
_OPEN_LAST: Final = "FASYNC=0o20000 O_NOATIME=0o1000000 O_CLOEXEC=0o2000000 O_PATH=0o10000000"
_ACCESS_MODES: Final = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
_FILE_TYPES: Final = {
    0o140000: "S_IFSOCK", 0o120000: "S_IFLNK", 0o100000: "S_IFREG", 0o060000: "S_IFBLK",
    0o040000: "S_IFDIR", 0o020000: "S_IFCHR", 0o010000: "S_IFIFO",
}  # fmt: skip
_SOCKET_BITS: Final = 0o2004000


class Flags:
    """The names for one machine, as `uname -m` calls it."""

    def __init__(self, machine: str) -> None:
        self._tables: dict[str, tuple[bool, tuple[tuple[str, int], ...]]] = {}
        for line in _TEXT.strip().splitlines():
            kind, _, rest = line.partition(" ")
            self._tables[kind] = _table(rest)
        self._tables["openbits"] = _table(_OPEN + _OPEN_OF[machine] + _OPEN_LAST)
        self._known: dict[tuple[str, int], str] = {}

    def text(self, kind: str, value: int) -> str:
        """The names of a value, joined by |; as a number where it has none."""
        found = self._known.get((kind, value))
        if found is None:
            found = self._known[kind, value] = self._text(kind, value)
        return found

    def _text(self, kind: str, value: int) -> str:
        if kind in _SPECIAL:
            return _SPECIAL[kind](self, value)
        if kind not in self._tables:
            return str(value)
        bits, names = self._tables[kind]
        if not bits:
            return next((name for name, number in names if number == value), str(value) if value < 10 else hex(value))
        found = []
        for name, number in names:
            if number and value & number == number:
                found.append(name)
                value &= ~number
        if not found and value == 0:
            return next((name for name, number in names if number == 0), "0")
        return "|".join([*found, hex(value)] if value else found)

    def open(self, value: int) -> str:
        """The flags of open: how it may be accessed, then the rest."""
        rest = self.text("openbits", value & ~3)
        return _ACCESS_MODES[value & 3] + ("" if rest == "0" else "|" + rest)

    def only_open(self, value: int) -> str:
        """The flags of calls that take some of open's: O_CLOEXEC, O_NONBLOCK."""
        return self.text("openbits", value)

    def map(self, value: int) -> str:
        """The flags of mmap: the type, then the rest."""
        rest = self.text("mapbits", value & ~3)
        return self.text("maptype", value & 3) + ("" if rest == "0" else "|" + rest)

    def clone(self, value: int) -> str:
        """The flags of clone: in their lowest byte the signal at the child's end."""
        rest = self.text("clonebits", value & ~0xFF)
        parts = [rest] if rest != "0" or not value & 0xFF else []
        return "|".join([*parts, signal_name(value & 0xFF)] if value & 0xFF else parts)

    def namespaces(self, value: int) -> str:
        """The flags of unshare and setns: as clone's, but for one that takes the place of a signal."""
        rest = self.text("clonebits", value & ~0x80)
        return rest if not value & 0x80 else "CLONE_NEWTIME" if rest == "0" else f"CLONE_NEWTIME|{rest}"

    def signal(self, value: int) -> str:
        """The name of a signal."""
        return signal_name(value)

    def socket_type(self, value: int) -> str:
        """The type of a socket with its flags."""
        flags = self.text("sockflags", value & _SOCKET_BITS)
        return self.text("one-socktype", value & ~_SOCKET_BITS) + ("" if flags == "0" else "|" + flags)

    def node(self, value: int) -> str:
        """The type and mode of a file to be made."""
        bits = ((0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX"))
        kind = _FILE_TYPES.get(value & 0o170000)
        parts = [kind] if kind else []
        return "|".join([*parts, *(name for bit, name in bits if value & bit), octal(value & 0o777)])

    def plain(self, kind: str, value: int) -> str:
        """As `text`, for a kind whose special form builds on a table of the same name."""
        _, names = self._tables[kind]
        return next((name for name, number in names if number == value), str(value))


def _table(text: str) -> tuple[bool, tuple[tuple[str, int], ...]]:
    how, *words = text.split()
    pairs = (word.partition("=") for word in words)
    return how == "bits", tuple((name, int(value, 0)) for name, _, value in pairs)


def octal(value: int) -> str:
    """A mode as strace writes it: three digits at least, the first a zero."""
    return f"0{value:02o}"


def signal_name(value: int) -> str:
    """The name of a signal; those for real-time programs are counted as the kernel does, from 32."""
    if 32 < value <= 64:
        return f"SIGRT_{value - 32}"
    try:
        return "SIGRTMIN" if value == 32 else signal.Signals(value).name
    except ValueError:
        return str(value)


_SPECIAL: Final[dict[str, Callable[[Flags, int], str]]] = {
    "open": Flags.open,
    "open3": Flags.only_open,
    "map": Flags.map,
    "clone": Flags.clone,
    "namespaces": Flags.namespaces,
    "signal": Flags.signal,
    "socktype": Flags.socket_type,
    "one-socktype": lambda self, value: self.plain("socktype", value),
    "mknod": Flags.node,
}
