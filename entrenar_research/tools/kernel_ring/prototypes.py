"""What the arguments of the system calls are: prototypes, as text.

A line is a name, its arguments by kind, and after `=` what it gives back where that is no plain number:

    fd dir    a descriptor; one that paths are relative to
    path str  a path; another string that is read at a stop
    d u o     a number of 32 bits: signed, unsigned; a mode in octal
    l z       a number of 64 bits: signed, unsigned; `x` in hexadecimal or NULL, `hex` in hexadecimal or 0
    in out    a buffer that the kernel reads or fills; `st >st` a structure; `arr >arr` an array
    :name     flags or a choice (`flags.py`); `omode` a mode that counts where a file may be created; `gap` is not shown
    argv env how addr >addr >stat >statx >link >pair msg >msg mmsg cl: structures that are read at a stop or an event

Source: the manual pages of section 2 and include/linux/syscalls.h of Linux 6.18.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final  # not at run time: the launcher should start quickly

PROTOTYPES: Final = """\
open path :open omode = fd
creat path o = fd
openat dir path :open omode = fd
openat2 dir path how z = fd
open_by_handle_at fd st :open = fd
name_to_handle_at dir path >st >arr :at
access path :access
faccessat dir path :access
faccessat2 dir path :access :at
stat path >stat
lstat path >stat
fstat fd >st
newfstatat dir path >stat :at
statx dir path :statx :statxmask >statx
statfs path >st
fstatfs fd >st
readlink path >link z
readlinkat dir path >link z
truncate path l
mkdir path o
mkdirat dir path o
rmdir path
unlink path
unlinkat dir path :unlink
rename path path
renameat dir path dir path
renameat2 dir path dir path :rename
link path path
linkat dir path dir path :at
symlink path path
symlinkat path dir path
chmod path o
fchmodat dir path o
fchmodat2 dir path o :at
chown path d d
lchown path d d
fchownat dir path d d :at
utime path st
utimes path arr
futimesat dir path arr
utimensat dir path arr :at
mknod path :mknod dev
mknodat dir path :mknod dev
chdir path
chroot path
getxattr path str out z
lgetxattr path str out z
listxattr path out z
llistxattr path out z
setxattr path str in z :xattr
lsetxattr path str in z :xattr
removexattr path str
lremovexattr path str
setxattrat dir path :at str st z
getxattrat dir path :at str >st z
listxattrat dir path :at out z
removexattrat dir path :at str
file_getattr dir path >st z :at
file_setattr dir path st z :at
swapon path x
swapoff path
mount path path str x x
umount2 path :umount
pivot_root path path
acct path
uselib path
quotactl x path d st
inotify_add_watch fd path :inotify
fanotify_mark fd x x dir path
open_tree dir path x = fd
open_tree_attr dir path x st z = fd
move_mount dir path dir path x
fspick dir path x = fd
mount_setattr dir path x st z
read fd out z
write fd in z
readv fd >arr d
writev fd arr d
pread64 fd out z l
pwrite64 fd in z l
preadv fd >arr d l
pwritev fd arr d l
preadv2 fd >arr d l gap :rwf
pwritev2 fd arr d l gap :rwf
close fd
close_range u u :closerange
dup fd = dup
dup2 fd u = dup
dup3 fd u :open3 = dup
fcntl fd :fcntl x = fcntl
flock fd :flock
fsync fd
fdatasync fd
syncfs fd
sync_file_range fd l l :syncrange
ftruncate fd l
fallocate fd :fallocate l l
fadvise64 fd l z :fadvise
readahead fd l z
lseek fd l :seek
ioctl fd x x
getdents fd >arr d
getdents64 fd >arr d
fchmod fd o
fchown fd d d
fchdir fd
fgetxattr fd str out z
flistxattr fd out z
fsetxattr fd str in z :xattr
fremovexattr fd str
sendfile fd fd arr z
splice fd arr fd arr z :splice
tee fd fd z :splice
vmsplice fd arr z :splice
copy_file_range fd arr fd arr z d
cachestat fd st >st x
mmap x z :prot :map fd hex = x
pipe >pair
pipe2 >pair :open3
eventfd u = fd
eventfd2 u :eventfd = fd
signalfd fd arr z = fd
signalfd4 fd arr z :signalfd = fd
timerfd_create :clock :timerfd = fd
timerfd_settime fd :timerset st >st
timerfd_gettime fd >st
epoll_create d = fd
epoll_create1 :epoll = fd
epoll_ctl fd :epollctl fd st
epoll_wait fd >arr d d
epoll_pwait fd >arr d d arr z
epoll_pwait2 fd >arr d st arr z
inotify_init = fd
inotify_init1 :inotifyinit = fd
inotify_rm_watch fd d
fanotify_init x :open = fd
memfd_create str :memfd = fd
memfd_secret x = fd
userfaultfd :open3 = fd
perf_event_open st d d fd x = fd
pidfd_open d :pidfd = fd
pidfd_getfd fd d x = fd
pidfd_send_signal fd :signal st x
process_madvise fd arr z d x
process_mrelease fd x
io_uring_setup u >st = fd
io_uring_enter fd u u x x z
io_uring_register fd u x u
bpf d st u
fsopen str x = fd
fsconfig fd d str in d
fsmount fd x x = fd
landlock_create_ruleset st z x = fd
landlock_add_rule fd d st x
landlock_restrict_self fd x
setns fd :namespaces
mq_open str :open omode st = fd
mq_unlink str
mq_timedsend fd in z u st
mq_timedreceive fd out z >arr st
mq_notify fd st
mq_getsetattr fd st >st
quotactl_fd fd x d st
kexec_file_load fd fd z str x
finit_module fd str x
clone :clone x x x x
clone3 cl z
fork
vfork
execve path argv env
execveat dir path argv env :at
exit d
exit_group d
wait4 d >arr :wait >st
waitid d d >st :wait >st
kill d :signal
tkill d :signal
tgkill d d :signal
rt_sigqueueinfo d :signal st
rt_tgsigqueueinfo d d :signal st
unshare :namespaces
ptrace d d x x
personality x
prctl d x x x x
arch_prctl x x
seccomp d x x
set_tid_address x
set_robust_list x z
get_robust_list d >arr >arr
rseq x x x x
membarrier d x d
setsid
getsid d
setpgid d d
getpgid d
getpgrp
getpid
gettid
getppid
getuid
geteuid
getgid
getegid
setuid d
setgid d
setreuid d d
setregid d d
setresuid d d d
setresgid d d d
setfsuid d
setfsgid d
getresuid >arr >arr >arr
getresgid >arr >arr >arr
getgroups d >arr
setgroups d arr
capget st >st
capset st st
umask o
getcwd out z
uname >st
sysinfo >st
getrusage d >st
getrlimit d >st
setrlimit d st
prlimit64 d d st >st
getpriority d d
setpriority d d d
ioprio_get d d
ioprio_set d d x
sched_yield
sched_setaffinity d z arr
sched_getaffinity d z >arr
sched_getparam d >st
sched_setparam d st
sched_getscheduler d
sched_setscheduler d d st
sched_get_priority_max d
sched_get_priority_min d
sched_rr_get_interval d >st
sched_getattr d >st u x
sched_setattr d st x
getcpu >arr >arr x
kcmp d d d x x
process_vm_readv d arr z arr z x
process_vm_writev d arr z arr z x
brk x = x
munmap x z
mprotect x z :prot
mremap x z z x x = x
madvise x z d
mincore x z >arr
msync x z :msync
mlock x z
mlock2 x z x
munlock x z
mlockall x
munlockall
mbind x z d arr z x
set_mempolicy d arr z
get_mempolicy >arr >arr z x x
set_mempolicy_home_node x z z x
migrate_pages d z arr arr
move_pages d z arr arr >arr x
remap_file_pages x z x z x
pkey_alloc x x
pkey_free d
pkey_mprotect x z :prot d
mseal x z x
map_shadow_stack x z x = x
shmget x z x
shmat d x x = x
shmdt x
shmctl d d st
semget x d x
semop d arr z
semctl d d d x
semtimedop d arr u st
msgget x x
msgsnd d in z x
msgrcv d out z l x
msgctl d d st
rt_sigaction :signal st >st z
rt_sigprocmask d arr >arr z
rt_sigpending >arr z
rt_sigsuspend arr z
rt_sigtimedwait arr >st st z
rt_sigreturn
sigaltstack st >st
restart_syscall
pause
futex x d u x x u
futex_wait x z z x st d
futex_wake x z d x
futex_waitv arr u x st d
futex_requeue arr x d d
nanosleep st >st
clock_nanosleep :clock x st >st
clock_gettime :clock >st
clock_settime :clock st
clock_getres :clock >st
clock_adjtime :clock st
adjtimex st
gettimeofday >st >st
settimeofday st st
time >arr
times >st
alarm u
getitimer d >st
setitimer d st >st
timer_create :clock st >arr
timer_settime d x st >st
timer_gettime d >st
timer_getoverrun d
timer_delete d
poll arr u d
ppoll arr u st arr z
select d arr arr arr st
pselect6 d arr arr arr st st
socket :family :socktype proto = fd
socketpair :family :socktype proto >pair
connect fd addr d
bind fd addr d
listen fd d
accept fd >addr >arr = fd
accept4 fd >addr >arr :sockflags = fd
shutdown fd :shutdown
sendto fd in z :msg addr d
recvfrom fd out z :msg >addr >arr
sendmsg fd msg :msg
recvmsg fd >msg :msg
sendmmsg fd mmsg u :msg
recvmmsg fd >arr u :msg st
getsockname fd >st >arr
getpeername fd >st >arr
setsockopt fd :level sockopt arr d
getsockopt fd :level sockopt >arr >arr
getrandom out z :random
sync
vhangup
sysfs d x x
syslog d out d
sethostname in d
setdomainname in d
reboot x x x x
ioperm z z d
iopl u
modify_ldt d x z
add_key str str in z d
request_key str str str d
keyctl d x x x x
init_module in z str
delete_module str x
kexec_load x z x x
io_setup u >arr
io_destroy x
io_submit x d arr
io_cancel x st >st
io_getevents x d d >arr st
io_pgetevents x d d >arr st st
ustat x >st
lsm_get_self_attr u >st >arr x
lsm_set_self_attr u st u x
lsm_list_modules >arr >arr x
statmount st >st z x
listmount st >arr z x
listns st >arr z x
"""
"""One call a line: on files, on descriptors, of processes, memory, signals, time, network and system."""
