/* Three processes: the first enters namespaces, the second is the first of a list of processes of its own and waits,
 * the third becomes the program. When the first is killed the second dies with it, and with the second all of the list.
 */
#define _GNU_SOURCE /* unshare */

#include "pk/confine.h"

#include <ctype.h>
#include <dirent.h>
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
enum { NPROC_FACTOR = 4 }; /* it counts threads, too */

pk_confinement pk_confinement_of_program(bool is_gpu, unsigned cpu_s, size_t memory_bytes)
{
    return (pk_confinement){.cpu_s = cpu_s, .memory_bytes = is_gpu ? 0 : memory_bytes, .sees_processes = is_gpu};
}

/* What the three processes share. */
typedef struct start {
    const pk_confinement *limits;
    char *const *argv;
    int output, report, end; /* report: what is lacking, a line; end: how the program ended */
    const int *inherited;
    size_t count;
    pid_t parent;
    bool has_user_namespace;
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

static void enter_namespaces(start *s)
{
    s->has_user_namespace = enter_user_namespace();
    if (!s->has_user_namespace) {
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

/* A turn before all others, where it may be had: in namespaces there is no right to it any more. */
static void take_turns(int policy)
{
    const struct sched_param least = {sched_get_priority_min(policy)};
    (void)sched_setscheduler(0, policy, &least);
}

static void limit(__rlimit_resource_t what, rlim_t value) /* the C library's name for what setrlimit takes */
{
    const struct rlimit both = {value, value};
    (void)setrlimit(what, &both);
}

static void set_limits(const pk_confinement *limits, bool has_user_namespace)
{
    if (limits->cpu_s > 0)
        limit(RLIMIT_CPU, limits->cpu_s);
    if (limits->memory_bytes > 0)
        limit(RLIMIT_AS, limits->memory_bytes);
    if (limits->processes > 0 && has_user_namespace) /* or it counts what the user has elsewhere */
        limit(RLIMIT_NPROC, NPROC_FACTOR * (rlim_t)limits->processes);
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
    take_turns(SCHED_OTHER);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that would grow too far is an error of the write */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    const int report = fcntl(s->report, F_DUPFD_CLOEXEC, 32);
    arrange_descriptors(s);
    close_at_start(FIRST_INHERITED + (int)s->count);
    set_limits(s->limits, s->has_user_namespace);
    execv(s->argv[0], s->argv);
    (void)!write(report, "!", 2);
    _exit(CANNOT_START);
}

/* ---- how many there are ---- */

/* They are counted: all that descend from this process. Those whose parent has ended have this one for parent. The
 * counting has to get its turn beside thousands: RLIMIT_NPROC keeps the number down for all but root; root may ask for
 * a turn before all others. */
typedef struct family {
    pid_t *pids, *parents; /* of all that /proc shows */
    pid_t *ours;           /* the descendants */
    size_t count, room, our_count;
} family;

static bool family_add(family *all, pid_t pid, pid_t parent)
{
    if (all->count == all->room) {
        const size_t room = all->room ? 2 * all->room : 1024;
        pid_t **const lists[] = {&all->pids, &all->parents, &all->ours};
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
            pid_t *longer = realloc(*lists[i], room * sizeof *longer);
            if (!longer)
                return false;
            *lists[i] = longer;
        }
        all->room = room;
    }
    all->pids[all->count] = pid;
    all->parents[all->count++] = parent;
    return true;
}

/* The parent of a process that has not ended; -1: it has. */
static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0)
        close(file);
    text[got > 0 ? got : 0] = '\0';
    const char *name_ends = strrchr(text, ')'); /* a name may have spaces and brackets */
    char state = 'Z';
    int parent = -1;
    if (!name_ends || sscanf(name_ends + 1, " %c %d", &state, &parent) != 2 || state == 'Z')
        return -1;
    return parent;
}

static bool is_one_of(const pid_t *pids, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Up to `most` descendants and one: quick, however many there are. This process's own number is asked of /proc, which
 * may be mounted for another list. In a list of its own all but the first descend from it. */
static void family_read(family *all, size_t most)
{
    char self[32] = "";
    DIR *folder = opendir("/proc");
    all->count = all->our_count = 0;
    const bool known = readlink("/proc/self", self, sizeof self - 1) > 0;
    const pid_t us = (pid_t)strtol(self, NULL, 10);
    for (struct dirent *entry; known && folder && (entry = readdir(folder)) != NULL;) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        const pid_t parent = pid <= 0 || pid == us ? -1 : us == 1 ? us : parent_of(entry->d_name);
        if (parent >= 0 && !family_add(all, pid, parent))
            break;
        if (us == 1 && all->count > most)
            break;
    }
    if (folder)
        (void)closedir(folder);
    for (bool more = true; more && all->our_count <= most;) { /* mostly one turn: parents have the lower numbers */
        more = false;
        for (size_t i = 0; i < all->count && all->our_count <= most; i++) {
            if (all->parents[i] != us && !is_one_of(all->ours, all->our_count, all->parents[i]))
                continue;
            all->ours[all->our_count++] = all->pids[i];
            all->parents[i] = -1; /* counted: nobody's child any more */
            more = true;
        }
    }
}

/* The program's and its children's end, where no list of processes ends with its first. They may go on starting others
 * for a moment. */
static void end_family(family *all)
{
    enum { TRIES = 1000, AT_ONCE = 4096 };
    for (int i = 0; i < TRIES; i++) {
        family_read(all, AT_ONCE);
        for (size_t k = 0; k < all->our_count; k++)
            (void)kill(all->ours[k], SIGKILL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (all->our_count == 0)
            break;
    }
}

static bool is_crowd(family *all, unsigned most)
{
    family_read(all, most);
    return all->our_count > most;
}

/* Waits for the program and for all that it leaves behind: they die with this one. */
static void stand_over(start *s)
{
    static const struct timespec moment = {0, 50L * 1000 * 1000};
    family all = {.count = 0};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (getpid() == 1)
        (void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    const pid_t program = fork();
    if (program == 0)
        become(s);
    close(s->report);
    int status = PK_CONFINED_KILLED;
    for (bool runs = program > 0; runs;) {
        int one;
        const pid_t ended = waitpid(-1, &one, s->limits->processes ? WNOHANG : 0);
        if (ended == program) {
            status = one;
            runs = false;
        } else if (ended == 0 && is_crowd(&all, s->limits->processes)) { /* only where there is a limit */
            status = PK_CONFINED_CROWD;
            runs = false;
        } else if (ended == 0) {
            (void)sigtimedwait(&child, NULL, &moment);
        } else if (ended < 0 && errno != EINTR) {
            break;
        }
    }
    if (s->limits->processes && getpid() != 1)
        end_family(&all);
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
    if (s->limits->processes)
        take_turns(SCHED_FIFO);
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
    start s = {limits, argv, output, report[1], end[1], inherited, count, getpid(), false};
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
    int status = PK_CONFINED_KILLED;
    while (waitpid(started->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (read(started->end, &status, sizeof status) != (ssize_t)sizeof status)
        status = PK_CONFINED_KILLED;
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
