/* Child programs: started, waited for, sent the signals that we get, never left behind. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum {
    GRACE_S = 10,       /* between a signal and SIGKILL: a lab's watchdog and clean-up are far quicker */
    CANNOT_START = 127, /* the shell's convention for a program that is not there */
    CANNOT_FORK = -1
};

static void watched_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
}

/* In the child: the caller's signals again, death when the parent dies, then the program. */
static void become(char *const argv[], pid_t parent, const sigset_t *mask)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before prctl could say so */
        _exit(CANNOT_START);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (strchr(argv[0], '/')) /* execvp would hand a file that is no program to the shell */
        execv(argv[0], argv);
    else
        execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "lab: cannot start %s: %s; build it with ./lab\n", argv[0], strerror(errno));
    _exit(CANNOT_START);
}

/* Wait for the child and pass signals on. *interrupted is set when one of them asked us to end. */
static int wait_passing_signals(pid_t child, const sigset_t *watched, bool *interrupted)
{
    struct timespec grace = {GRACE_S, 0};
    int status;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR))
            return ended == child ? status : 0;
        siginfo_t info;
        int signal_number = *interrupted ? sigtimedwait(watched, &info, &grace) : sigwaitinfo(watched, &info);
        if (signal_number < 0 && errno == EAGAIN) {
            fprintf(stderr, "lab: the program did not end %d s after the signal; killing it\n", GRACE_S);
            kill(child, SIGKILL);
        } else if (signal_number > 0 && signal_number != SIGCHLD) {
            *interrupted = true;
            /* The terminal sends Ctrl-C to the child as well; what came to us alone has to be passed on. */
            if (info.si_code != SI_KERNEL)
                kill(child, signal_number);
        }
    }
}

static int signal_of(int status, bool interrupted)
{
    return WIFSIGNALED(status) && !interrupted ? WTERMSIG(status) : 0;
}

static int code_of(int status, bool interrupted, const char *program)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == CANNOT_START ? pk_exit_code(PK_USAGE) : WEXITSTATUS(status);
    if (interrupted || WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM)
        return pk_exit_code(PK_INTERRUPTED);
    if (WTERMSIG(status) == SIGPIPE) /* `./lab run 01 | head`: nobody reads on, and that is no fault */
        return 128 + SIGPIPE;
    return cli_failed(pk_fail(PK_FAULT, "%s was killed by signal %d (%s); run it under a debugger to see where",
                              program, WTERMSIG(status), strsignal(WTERMSIG(status))));
}

/* As cli_run; *killed_by is the signal that killed it, 0 where none did or we were asked to end. */
static int run(char *const argv[], int *killed_by)
{
    *killed_by = 0;
    sigset_t watched, before;
    watched_signals(&watched);
    fflush(NULL);
    sigprocmask(SIG_BLOCK, &watched, &before); /* none may be lost between fork and wait */
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        become(argv, parent, &before);
    if (child < 0) {
        int reason = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        return cli_failed(
            pk_fail(PK_USAGE, "cannot start %s: %s; end other processes and try again", argv[0], strerror(reason)));
    }
    bool interrupted = false;
    int status = wait_passing_signals(child, &watched, &interrupted);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *killed_by = signal_of(status, interrupted);
    return code_of(status, interrupted, argv[0]);
}

int cli_run(char *const argv[])
{
    int killed_by;
    return run(argv, &killed_by);
}

/* A pipe on which a lab program says that its harness has reported, as its last act (session.c, PK_REPORTED_FD). */
typedef struct word_of_report {
    int ends[2]; /* -1 where there is no pipe: then nothing is demanded */
} word_of_report;

static word_of_report expect_report(void)
{
    word_of_report word = {{-1, -1}};
    if (pipe(word.ends) != 0)
        return (word_of_report){{-1, -1}};
    char number[16];
    (void)fcntl(word.ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(word.ends[0], F_SETFL, O_NONBLOCK);
    snprintf(number, sizeof number, "%d", word.ends[1]);
    setenv("PK_REPORTED_FD", number, 1);
    return word;
}

static bool has_reported(word_of_report word)
{
    char byte;
    if (word.ends[0] < 0)
        return true;
    unsetenv("PK_REPORTED_FD");
    close(word.ends[1]);
    const bool said = read(word.ends[0], &byte, 1) == 1;
    close(word.ends[0]);
    return said;
}

/* One that was interrupted, that faulted or that did not start has said so itself. */
static bool ended_by_itself(int code)
{
    return code >= 0 && code != pk_exit_code(PK_INTERRUPTED) && code != pk_exit_code(PK_FAULT) &&
           code != pk_exit_code(PK_USAGE);
}

static int code_with_report(int code, bool reported, const char *program)
{
    if (reported || !ended_by_itself(code))
        return code;
    return cli_failed(pk_fail(PK_FAULT,
                              "%s ended with exit code %d before the harness had reported: nothing that it printed is "
                              "a result. Does a variant call exit, or end the process in another way?",
                              program, code));
}

cli_end cli_run_lab(char *const argv[])
{
    const word_of_report word = expect_report();
    cli_end end;
    const int code = run(argv, &end.killed_by);
    end.reported = has_reported(word);
    end.code = code_with_report(code, end.reported, argv[0]);
    return end;
}

static char *read_all(int descriptor)
{
    size_t length = 0, capacity = 4096;
    char *text = cli_grow(NULL, capacity, 1);
    for (;;) {
        ssize_t got = read(descriptor, text + length, capacity - length - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
        if (capacity - length <= 1)
            text = cli_grow(text, capacity *= 2, 1);
    }
    text[length] = '\0';
    return text;
}

int cli_capture(char *const argv[], char **output)
{
    int ends[2];
    *output = NULL;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return CANNOT_FORK;
    fflush(NULL);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        int nothing = open("/dev/null", O_RDONLY);
        dup2(nothing, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        become(argv, parent, &mask);
    }
    close(ends[1]);
    *output = child < 0 ? cli_copy("", 0) : read_all(ends[0]);
    close(ends[0]);
    int status = 0;
    if (child < 0)
        return CANNOT_FORK;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status))
        return CANNOT_FORK;
    return WEXITSTATUS(status) == CANNOT_START ? CANNOT_FORK : WEXITSTATUS(status);
}

int cli_capture_lab(char *const argv[], char **output)
{
    const word_of_report word = expect_report();
    const int code = cli_capture(argv, output);
    return code_with_report(code, has_reported(word), argv[0]);
}

char *cli_find_program(const char *name)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        char *candidate = cli_format("%.*s/%s", (int)length, path, name);
        if (access(candidate, X_OK) == 0 && !cli_is_folder(candidate))
            return candidate;
        free(candidate);
        path += length + (path[length] == ':');
    }
    return NULL;
}
