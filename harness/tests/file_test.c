/* Files are written whole or not at all, and what went wrong is said. */
#define _GNU_SOURCE /* unshare */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/folder.h"
#include "../src/lock.h"
#include "pk/result.h"

static char home[] = "/tmp/pk_file_test.XXXXXX";

static void enter(void)
{
    cr_assert_not_null(mkdtemp(home));
    cr_assert_eq(chdir(home), 0);
}

static void leave(void)
{
    char command[PATH_MAX];
    cr_assert_eq(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", home);
    cr_assert_eq(system(command), 0);
}

TestSuite(file, .init = enter, .fini = leave);

/* Entries of a folder, whatever they are. */
static size_t entries(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(dir);
    return count;
}

static void assert_holds(const char *path, const char *want)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s is not there", path);
    const size_t bytes = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    cr_assert_eq(bytes, strlen(want));
    cr_assert_str_eq(text, want);
}

static void assert_refused(pk_status status, const char *path, const char *reason, const char *remedy)
{
    cr_assert_eq(status, PK_USAGE);
    cr_assert(strstr(pk_error_text(), path), "%s", pk_error_text());
    cr_assert(strstr(pk_error_text(), reason), "%s", pk_error_text());
    cr_assert(strstr(pk_error_text(), remedy), "%s", pk_error_text());
    cr_assert_null(strchr(pk_error_text(), '\n'));
}

Test(file, is_written_replaced_and_alone)
{
    cr_assert_eq(pk_write_file("a.json", "first, longer", 13), PK_OK);
    assert_holds("a.json", "first, longer");
    cr_assert_eq(pk_write_file("a.json", "second", 6), PK_OK);
    assert_holds("a.json", "second");
    cr_assert_eq(pk_write_file("empty", "", 0), PK_OK);
    assert_holds("empty", "");
    cr_assert_eq(entries("."), (size_t)2);
}

Test(file, folders_are_made)
{
    char path[PATH_MAX];
    cr_assert_eq(pk_write_file("results/deep//deeper/a.json", "x", 1), PK_OK);
    assert_holds("results/deep/deeper/a.json", "x");
    (void)snprintf(path, sizeof path, "%s/absolute/a.json", home);
    cr_assert_eq(pk_write_file(path, "y", 1), PK_OK);
    assert_holds("absolute/a.json", "y");
}

Test(file, may_be_read_as_the_umask_says)
{
    struct stat about;
    (void)umask(022);
    cr_assert_eq(pk_write_file("a.json", "x", 1), PK_OK);
    cr_assert_eq(stat("a.json", &about), 0);
    cr_assert_eq(about.st_mode & 0777u, 0644u);
}

Test(file, a_file_in_the_way_of_a_folder)
{
    cr_assert_eq(pk_write_file("plain", "x", 1), PK_OK);
    assert_refused(pk_write_file("plain/a.json", "x", 1), "plain", "", "a part of the path is a file");
    assert_refused(pk_write_file("plain/b/a.json", "x", 1), "plain", "", "a part of the path is a file");
    cr_assert_eq(entries("."), (size_t)1);
}

Test(file, a_folder_in_the_way_of_a_file)
{
    cr_assert_eq(mkdir("taken", 0777), 0);
    assert_refused(pk_write_file("taken", "x", 1), "taken", "Is a directory", "give a file's name in it");
    cr_assert_eq(entries("."), (size_t)1);
}

Test(file, a_device_is_not_replaced)
{
    struct stat about;
    cr_assert_eq(mkfifo("pipe", 0666), 0);
    assert_refused(pk_write_file("pipe", "x", 1), "pipe", "a device or a pipe", "give a file's name");
    assert_refused(pk_write_file("/dev/full", "x", 1), "/dev/full", "a device or a pipe", "give a file's name");
    cr_assert_eq(stat("/dev/full", &about), 0);
    cr_assert(S_ISCHR(about.st_mode));
}

Test(file, a_file_system_that_takes_none)
{
    cr_assert_eq(pk_write_file("/proc/pk/a.json", "x", 1), PK_USAGE);
    cr_assert(strstr(pk_error_text(), "/proc/pk: cannot create this folder: "), "%s", pk_error_text());
    cr_assert_eq(pk_write_file("/proc/a.json", "x", 1), PK_USAGE);
    cr_assert(strstr(pk_error_text(), "/proc/a.json: cannot write: "), "%s", pk_error_text());
}

Test(file, a_name_that_is_too_long)
{
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_refused(pk_write_file(name, "x", 1), "nnn", "too long", "choose a shorter path");
}

Test(file, an_empty_name)
{
    cr_assert_eq(pk_write_file("", "x", 1), PK_USAGE);
    cr_assert_eq(entries("."), (size_t)0);
}

/* The old file stays, nothing half-written does, and the signal that goes with the limit ends nobody. */
Test(file, over_the_size_limit)
{
    static char large[1 << 16];
    sigset_t blocked;
    const struct rlimit limit = {4096, 4096};
    memset(large, 'x', sizeof large);
    cr_assert_eq(pk_write_file("a.json", "old", 3), PK_OK);
    cr_assert_eq(signal(SIGXFSZ, SIG_DFL) == SIG_ERR, 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_refused(pk_write_file("a.json", large, sizeof large), "a.json", "File too large", "ulimit -f");
    assert_holds("a.json", "old");
    cr_assert_eq(entries("."), (size_t)1);
    cr_assert_eq(pk_write_file("a.json", "new", 3), PK_OK);
    assert_holds("a.json", "new");
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    cr_assert_eq(sigismember(&blocked, SIGXFSZ), 0);
}

/* A file system of one page, mounted where only this process sees it. */
static void mount_tiny(void)
{
    cr_assert_eq(mkdir("tiny", 0777), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "tiny", "tmpfs", 0, "size=16k") != 0)
        cr_skip_test("mounting is not allowed here");
}

Test(file, a_full_disk)
{
    static char large[1 << 16];
    memset(large, 'x', sizeof large);
    mount_tiny();
    cr_assert_eq(pk_write_file("tiny/a.json", "old", 3), PK_OK);
    assert_refused(pk_write_file("tiny/a.json", large, sizeof large), "tiny/a.json", "No space left",
                   "free some space");
    assert_holds("tiny/a.json", "old");
    cr_assert_eq(entries("tiny"), (size_t)1);
    (void)umount("tiny");
}

Test(file, a_read_only_disk)
{
    mount_tiny();
    cr_assert_eq(mount("tmpfs", "tiny", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_refused(pk_write_file("tiny/a.json", "x", 1), "tiny/a.json", "Read-only", "that you may write to");
    assert_refused(pk_write_file("tiny/b/a.json", "x", 1), "tiny/b", "Read-only", "that you may write to");
    assert_refused(pk_folder_writable("tiny"), "tiny", "Read-only", "that you may write to");
    (void)umount("tiny");
}

Test(file, what_an_earlier_process_left_is_no_obstacle)
{
    char left[64];
    (void)snprintf(left, sizeof left, "a.json.%ld-0.tmp", (long)getpid());
    cr_assert_eq(pk_write_file(left, "half", 4), PK_OK);
    cr_assert_eq(pk_write_file("a.json", "whole", 5), PK_OK);
    assert_holds("a.json", "whole");
    cr_assert_neq(access(left, F_OK), 0, "what nobody writes any more is still there");
}

/* ---- several runs, and runs that were killed ---- */

static const pk_report at_noon = {.started_utc = "2026-01-31T12:00:00Z", .device = {.name = "d"}};

/* A child that claims a folder below `results`, does its work there, says so, and waits to be killed. */
static pid_t begin_run(void (*work)(const char *folder))
{
    int ready[2];
    char letter;
    cr_assert_eq(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        char folder[PATH_MAX];
        if (pk_claim_folder(folder, sizeof folder, "results", &at_noon) != PK_OK)
            _exit(1);
        work(folder);
        (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    cr_assert_eq(read(ready[0], &letter, 1), 1);
    (void)close(ready[0]);
    return child;
}

static void kill_run(pid_t child)
{
    (void)kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void write_result(const char *folder)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/lab99.json", folder);
    (void)pk_write_file(path, "own", 3);
}

/* As a run is in the middle of writing. */
static void leave_half(const char *folder)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/lab99.json.%ld-0.tmp", folder, (long)getpid());
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    (void)pk_take_file(file, path);
}

static void leave_nothing(const char *folder)
{
    (void)folder;
}

Test(file, each_of_several_runs_has_a_folder_of_its_own)
{
    enum { RUNS = 12 };
    pid_t children[RUNS];
    for (int i = 0; i < RUNS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char folder[PATH_MAX], path[PATH_MAX + 16];
            const pk_status status = pk_claim_folder(folder, sizeof folder, "results", &at_noon);
            (void)snprintf(path, sizeof path, "%s/lab99.json", folder);
            _exit(status != PK_OK || access(path, F_OK) == 0 || pk_write_file(path, "own", 3) != PK_OK);
        }
    }
    for (int i = 0; i < RUNS; i++) {
        int ended;
        cr_assert_eq(waitpid(children[i], &ended, 0), children[i]);
        cr_assert_eq(ended, 0);
    }
    cr_assert_eq(entries("results"), (size_t)RUNS);
    assert_holds("results/2026-01-31T120000Z-d/lab99.json", "own");
}

Test(file, what_killed_runs_left_is_removed_and_nothing_else)
{
    cr_assert_eq(mkdir("results", 0777), 0);
    cr_assert_eq(mkdir("results/2026-plans", 0777), 0);
    const pid_t whole = begin_run(write_result), half = begin_run(leave_half), none = begin_run(leave_nothing);
    kill_run(whole);
    kill_run(half);
    kill_run(none);
    const pid_t at_work = begin_run(leave_half); /* cleans up before it begins */
    cr_assert_eq(entries("results"), (size_t)3, "the plans, the whole result and the run at work");
    assert_holds("results/2026-01-31T120000Z-d/lab99.json", "own");
    char folder[PATH_MAX];
    cr_assert_eq(pk_claim_folder(folder, sizeof folder, "results", &at_noon), PK_OK);
    cr_assert_eq(entries("results"), (size_t)4, "a run at work lost its folder");
    cr_assert_eq(entries("results/2026-01-31T120000Z-d-2"), (size_t)1, "a run at work lost its file");
    kill_run(at_work);
    cr_assert_eq(pk_claim_folder(folder, sizeof folder, "results", &at_noon), PK_OK);
    cr_assert_eq(entries("results"), (size_t)4);
}

Test(file, a_folder_that_cannot_be_claimed_is_named)
{
    char folder[64], path[PATH_MAX];
    memset(path, 'x', sizeof path);
    path[80] = '\0';
    assert_refused(pk_claim_folder(folder, sizeof folder, path, &at_noon), path, "", "choose a shorter path");
    cr_assert_eq(pk_write_file("plain", "x", 1), PK_OK);
    assert_refused(pk_claim_folder(folder, sizeof folder, "plain", &at_noon), "plain", "",
                   "a part of the path is a file");
}

Test(file, a_folder_is_asked_before_a_long_run)
{
    cr_assert_eq(pk_folder_writable("results/new"), PK_OK);
    cr_assert_eq(entries("results/new"), (size_t)0);
    cr_assert_eq(pk_write_file("plain", "x", 1), PK_OK);
    assert_refused(pk_folder_writable("plain"), "plain", "", "a part of the path is a file");
    assert_refused(pk_folder_writable(""), "", "", "choose another folder");
}

static void folder_of(const char *path, const char *want)
{
    char folder[PATH_MAX];
    pk_folder_of(folder, sizeof folder, path);
    cr_assert_str_eq(folder, want);
}

Test(folder, of_a_path)
{
    folder_of("a.json", ".");
    folder_of("/a.json", "/");
    folder_of("results/a.json", "results");
    folder_of("/x/y/a.json", "/x/y");
}

static void result_folder(const char *device, const char *want)
{
    char path[256];
    pk_report report = {.started_utc = "2026-01-31T23:59:59Z"};
    (void)snprintf(report.device.name, sizeof report.device.name, "%s", device);
    pk_result_folder(path, sizeof path, "results", &report);
    cr_assert_str_eq(path, want);
}

Test(folder, of_a_report)
{
    char tight[20];
    pk_report report = {.started_utc = "2026-01-31T23:59:59Z"};
    result_folder("NVIDIA H200", "results/2026-01-31T235959Z-NVIDIA-H200");
    result_folder("CPU device (AMD EPYC 7B13)", "results/2026-01-31T235959Z-CPU-device-AMD-EPYC-7B13");
    result_folder("../../etc//x", "results/2026-01-31T235959Z-etc-x");
    result_folder("a\nb\xc2\xb5:c", "results/2026-01-31T235959Z-a-b-c");
    result_folder("", "results/2026-01-31T235959Z-device");
    result_folder("///", "results/2026-01-31T235959Z-device");
    pk_result_folder(tight, sizeof tight, "results", &report);
    cr_assert_str_eq(tight, "");
}

/* `./lab run 01 | head -n 1`: the reader is gone in the middle, or before the last of it. */
static int end_of_output_to(int out, size_t bytes)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        (void)dup2(out, STDOUT_FILENO);
        (void)freopen("said", "w", stderr);
        for (size_t i = 0; i < bytes; i++)
            (void)putchar('x');
        if (bytes > 1000)
            (void)fflush(stdout); /* what is left for the end comes to nothing */
        const int code = pk_output_ended("lab", 77);
        (void)fflush(stderr);
        _exit(code);
    }
    int ended;
    cr_assert_eq(waitpid(child, &ended, 0), child);
    return WEXITSTATUS(ended);
}

Test(file, a_reader_that_has_read_enough_is_no_fault)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    (void)close(ends[0]);
    cr_assert_eq(end_of_output_to(ends[1], 10), 77);
    assert_holds("said", "");
    cr_assert_eq(end_of_output_to(ends[1], 1000000), 77);
    assert_holds("said", "");
    (void)close(ends[1]);
    const int full = open("/dev/full", O_WRONLY);
    cr_assert_eq(end_of_output_to(full, 1000000), 2);
    (void)close(full);
}
