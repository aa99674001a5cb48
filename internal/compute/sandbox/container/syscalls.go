package container

import "strings"

// System calls by verdict. The allow-list began as what container engines allow without any capability, less what gives
// no function anything: kernel keyrings, io_uring, kernel AIO (its events are one supply for the whole machine), new namespaces,
// another process's memory.
var (
	allowed = strings.Fields(`
		accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
		clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
		epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group
		faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr
		flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv
		futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
		getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit
		getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init
		inotify_init1 inotify_rm_watch ioprio_get
		ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen
		listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create mincore
		mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
		mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat
		open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl
		pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead readlink
		readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall
		rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
		rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
		sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
		sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list
		set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid
		setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack
		signalfd signalfd4 splice stat statfs statx symlink symlinkat sync_file_range sysinfo tee
		tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
		timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid
		write writev`)

	// Done without being done: what they flush are the file systems of the host. fsync and fdatasync flush a file.
	skipped = strings.Fields(`sync syncfs`)

	refused = strings.Fields(`
		acct add_key adjtimex bpf chroot clock_adjtime clock_settime fanotify_init fanotify_mark fsconfig fsmount fsopen
		fspick get_mempolicy kcmp keyctl listmount lookup_dcookie mbind memfd_secret migrate_pages modify_ldt mount
		mount_setattr move_mount move_pages name_to_handle_at open_by_handle_at open_tree open_tree_attr perf_event_open
		pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd request_key
		set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday statmount syslog umount2 unshare
		userfaultfd vhangup`)

	killed = strings.Fields(`
		create_module delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load reboot swapoff swapon`)
)
