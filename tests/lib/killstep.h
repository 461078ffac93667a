/* SPDX-License-Identifier: GPL-3.0-or-later
 * Runs a function in a child and kills it before its n-th system call that changes a file, so that a test can stand at
 * every point at which a real kill may fall. Counting starts where the function calls killstep_begin(). Secrets do not reach a
 * child (util/secret.h): it makes its own. */
#ifndef HOLDFS_TESTS_KILLSTEP_H
#define HOLDFS_TESTS_KILLSTEP_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define KILLSTEP_POSSIBLE 1
static inline long killstep_call(pid_t pid)
{
    struct user_regs_struct regs;
    return ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0 ? -1 : (long)regs.orig_rax;
}
#else
#define KILLSTEP_POSSIBLE 0
static inline long killstep_call(pid_t pid)
{
    (void)pid;
    return -1;
}
#endif

static inline bool killstep_changes(long call)
{
    switch (call) {
    case SYS_write:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_ftruncate:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_linkat:
    case SYS_unlinkat:
#ifdef SYS_rename
    case SYS_rename:
    case SYS_unlink:
    case SYS_link:
#endif
        return true;
    default:
        return false;
    }
}

enum { KILLSTEP_NO_TRACE = 99 };

static inline void killstep_begin(void)
{
    raise(SIGUSR2);
}

/* Whether it was killed before its n-th change (from 1); false: it ended by itself before that, its exit status in
 * *ret_status. All of the child's threads count. */
static inline bool killstep_run(unsigned n, void (*fn)(void *arg), void *arg, int *ret_status)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(KILLSTEP_NO_TRACE);
        raise(SIGSTOP);
        fn(arg);
        _exit(0);
    }
    int status;
    unsigned seen = 0;
    bool first = true, counting = false;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid != child)
                continue;
            *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            return false;
        }
        int sig = WSTOPSIG(status);
        if (first) {
            ptrace(PTRACE_SETOPTIONS, pid, NULL,
                   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE);
            first = false;
            sig = 0;
        } else if (sig == (SIGTRAP | 0x80)) {
            sig = 0;
            struct __ptrace_syscall_info info;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY &&
                counting && killstep_changes(killstep_call(pid)) && ++seen == n) {
                kill(child, SIGKILL);
                while (waitpid(-1, &status, __WALL) > 0) /* its threads too; until there is no child */
                    continue;
                return true;
            }
        } else if (sig == SIGUSR2) {
            counting = true;
            sig = 0;
        } else if (sig == SIGTRAP || sig == SIGSTOP) {
            sig = 0; /* a new thread, or its first stop */
        }
        ptrace(PTRACE_SYSCALL, pid, NULL, sig);
    }
    *ret_status = -1;
    return false;
}

#endif
