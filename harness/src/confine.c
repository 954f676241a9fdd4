/* Three processes: the first enters namespaces, the second is the first of a list of processes of its own and waits,
 * the third becomes the program. When the first is killed the second dies with it, and with the second all of the list.
 */
#define _GNU_SOURCE /* unshare */

#include "pk/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_START = 127, NOBODY = 65534, FIRST_INHERITED = 3, MOST_INHERITED = 8 };

/* What the three processes share. */
typedef struct start {
    const pk_confinement *limits;
    char *const *argv;
    int output, report, end; /* report: what is lacking, a line; end: how the program ended */
    const int *inherited;
    size_t count;
    pid_t parent;
} start;

static void lacks(const start *s, const char *what)
{
    (void)!write(s->report, what, strlen(what) + 1);
}

/* ---- namespaces ---- */

static bool write_text(const char *path, const char *text)
{
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    const bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0)
        close(file);
    return written;
}

/* A user without any right over what was there before: inside it is nobody, outside it stays who it was. */
static bool enter_user_namespace(void)
{
    char map[64];
    const unsigned user = (unsigned)getuid(), group = (unsigned)getgid();
    if (unshare(CLONE_NEWUSER) != 0)
        return false;
    (void)write_text("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof map, "%d %u 1", NOBODY, user);
    const bool mapped = write_text("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof map, "%d %u 1", NOBODY, group);
    return write_text("/proc/self/gid_map", map) && mapped;
}

/* A mount that is there already keeps what it forbids: a remount has to name that again. */
static bool make_read_only(const char *place)
{
    static const unsigned long kept[] = {0,
                                         MS_NOSUID,
                                         MS_NODEV | MS_NOSUID,
                                         MS_NODEV | MS_NOSUID | MS_NOEXEC,
                                         MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_RELATIME,
                                         MS_NODEV | MS_NOSUID | MS_RELATIME,
                                         MS_NOSUID | MS_NOEXEC | MS_RELATIME,
                                         MS_NOSUID | MS_RELATIME,
                                         MS_NODEV | MS_RELATIME,
                                         MS_RELATIME};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | kept[i], NULL) == 0)
            return true;
    return false;
}

/* The places where something is mounted, the second word of each line. Devices stay as they are: a GPU is one. */
static bool make_all_read_only(void)
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    char line[4096], place[1024];
    bool done = mounts != NULL;
    while (mounts && fgets(line, sizeof line, mounts)) {
        if (sscanf(line, "%*s %1023s", place) != 1 || strcmp(place, "/dev") == 0 || strncmp(place, "/proc", 5) == 0)
            continue;
        const bool read_only = make_read_only(place) || access(place, W_OK) != 0;
        done = done && read_only;
    }
    if (mounts)
        (void)fclose(mounts);
    return done;
}

/* Mounts of its own, so that nobody else sees what becomes of them. */
static bool own_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void enter_namespaces(const start *s)
{
    if (!enter_user_namespace()) {
        lacks(s, "user");
        if (geteuid() != 0) { /* the others would be refused too */
            lacks(s, "network");
            lacks(s, "files");
            lacks(s, "processes");
            return;
        }
    }
    if (unshare(CLONE_NEWNET) != 0)
        lacks(s, "network");
    if (unshare(CLONE_NEWIPC) != 0)
        lacks(s, "ipc");
    if (!own_mounts() || (!s->limits->writes_files && !make_all_read_only()))
        lacks(s, "files");
    if (s->limits->sees_processes || unshare(CLONE_NEWPID) != 0)
        lacks(s, "processes");
}

/* ---- the program ---- */

static void limit(__rlimit_resource_t what, rlim_t value) /* the C library's name for what setrlimit takes */
{
    const struct rlimit both = {value, value};
    (void)setrlimit(what, &both);
}

static void set_limits(const pk_confinement *limits)
{
    if (limits->cpu_s > 0)
        limit(RLIMIT_CPU, limits->cpu_s);
    if (limits->memory_bytes > 0)
        limit(RLIMIT_AS, limits->memory_bytes);
    limit(RLIMIT_FSIZE, limits->file_bytes);
    limit(RLIMIT_CORE, 0);
}

/* Its descriptors: first out of the way of the numbers that they are to have. */
static void arrange_descriptors(const start *s)
{
    enum { AWAY = 64 };
    int away[MOST_INHERITED];
    for (size_t i = 0; i < s->count; i++)
        away[i] = fcntl(s->inherited[i], F_DUPFD_CLOEXEC, AWAY);
    const int output = fcntl(s->output, F_DUPFD_CLOEXEC, AWAY), nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    for (size_t i = 0; i < s->count; i++)
        (void)dup2(away[i], FIRST_INHERITED + (int)i);
}

/* All that is open beyond what the program gets is closed when it starts. */
static void close_at_start(int first)
{
    enum { MOST = 1024 };
    for (int descriptor = first; descriptor < MOST; descriptor++)
        (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

static void become(const start *s)
{
    sigset_t none;
    sigemptyset(&none);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that would grow too far is an error of the write */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    const int report = fcntl(s->report, F_DUPFD_CLOEXEC, 32);
    arrange_descriptors(s);
    close_at_start(FIRST_INHERITED + (int)s->count);
    set_limits(s->limits);
    execv(s->argv[0], s->argv);
    (void)!write(report, "!", 2);
    _exit(CANNOT_START);
}

/* Waits for the program and for all that it leaves behind: they die with this one. */
static void stand_over(start *s)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getpid() == 1)
        (void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    const pid_t program = fork();
    if (program == 0)
        become(s);
    close(s->report);
    int status = -1;
    for (pid_t ended = 0; program > 0 && ended != program;) {
        int one;
        ended = wait(&one);
        if (ended == program)
            status = one;
        else if (ended < 0 && errno != EINTR)
            break;
    }
    (void)!write(s->end, &status, sizeof status);
    _exit(0);
}

static void stand_outside(start *s)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* or its own maps are not its own */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent)
        _exit(CANNOT_START);
    enter_namespaces(s);
    const pid_t inside = fork();
    if (inside == 0)
        stand_over(s);
    close(s->report);
    close(s->end);
    while (inside > 0 && waitpid(inside, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

/* ---- from outside ---- */

/* Words, each with its 0, until the program runs; "!" when it did not start. */
static bool read_report(int report, char *lacks, size_t bytes)
{
    char text[256];
    size_t used = 0;
    ssize_t got;
    while ((got = read(report, text + used, sizeof text - used)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        used += got > 0 ? (size_t)got : 0;
    }
    lacks[0] = '\0';
    for (size_t at = 0; at < used; at += strlen(text + at) + 1) {
        if (strcmp(text + at, "!") == 0)
            return false;
        const size_t length = strlen(lacks);
        (void)snprintf(lacks + length, bytes - length, "%s%s", length ? ", " : "", text + at);
    }
    return true;
}

pk_status pk_confined_start(pk_confined *started, const pk_confinement *limits, char *const argv[], int output,
                            const int *inherited, size_t count)
{
    int report[2], end[2];
    if (count > MOST_INHERITED || pipe2(report, O_CLOEXEC) != 0)
        return pk_fail(PK_USAGE, "cannot start %s: %s", argv[0], strerror(errno));
    if (pipe2(end, O_CLOEXEC) != 0) {
        close(report[0]);
        close(report[1]);
        return pk_fail(PK_USAGE, "cannot start %s: %s", argv[0], strerror(errno));
    }
    start s = {limits, argv, output, report[1], end[1], inherited, count, getpid()};
    (void)fflush(NULL);
    started->pid = fork();
    if (started->pid == 0)
        stand_outside(&s);
    const int reason = errno;
    close(report[1]);
    close(end[1]);
    started->end = end[0];
    const bool forked = started->pid > 0;
    const bool runs = forked && read_report(report[0], started->lacks, sizeof started->lacks);
    close(report[0]);
    if (runs)
        return PK_OK;
    if (forked)
        (void)pk_confined_wait(started);
    else
        close(end[0]);
    return pk_fail(PK_USAGE, "cannot start %s: %s", argv[0],
                   forked ? "it is no program that runs here" : strerror(reason));
}

bool pk_confined_ends(const pk_confined *started, double seconds)
{
    struct pollfd end = {started->end, POLLIN, 0};
    return poll(&end, 1, (int)(seconds * 1e3)) > 0;
}

int pk_confined_wait(pk_confined *started)
{
    int status = -1;
    while (waitpid(started->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (read(started->end, &status, sizeof status) != (ssize_t)sizeof status)
        status = -1;
    close(started->end);
    started->pid = -1;
    return status;
}

void pk_confined_kill(const pk_confined *started)
{
    if (started->pid <= 0)
        return;
    (void)kill(-started->pid, SIGKILL); /* its process group, where there is no list of processes of its own */
    (void)kill(started->pid, SIGKILL);
}

/* ---- from inside ---- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE
#define REFUSE(number, error)                                                                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(number), 0, 1),                                                     \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

bool pk_confine_self(void)
{
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_clone3, ENOSYS), /* its flags are out of a filter's sight: the C library then takes clone */
#ifdef SYS_fork
        REFUSE(SYS_fork, EPERM),
        REFUSE(SYS_vfork, EPERM),
#endif
        REFUSE(SYS_execve, EPERM),
        REFUSE(SYS_execveat, EPERM),
        REFUSE(SYS_socket, EPERM),
        REFUSE(SYS_connect, EPERM),
        REFUSE(SYS_ptrace, EPERM),
        REFUSE(SYS_process_vm_readv, EPERM),
        REFUSE(SYS_process_vm_writev, EPERM),
        REFUSE(SYS_unshare, EPERM),
        REFUSE(SYS_mount, EPERM),
        REFUSE(SYS_setns, EPERM),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3), /* a thread, and no process */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {(unsigned short)(sizeof filter / sizeof filter[0]), filter};
    /* Of all threads: the device's run already. */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}
#else
bool pk_confine_self(void)
{
    return false;
}
#endif
