/* The judge's side of the pipes. Every wait has an end, and every number from there a limit. */
#define _GNU_SOURCE /* memfd_create */

#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pk/host.h"

enum { MOST_LOOKS = 4096, MOST_ARGUMENTS = 128 };
static const double WAIT_S = 60;
static const double GRACE_S = 5; /* behind the worker's own watchdog, which can name the kernel */

/* ---- waiting ---- */

static void take_output(pk_remote *remote)
{
    char text[4096];
    const ssize_t got = read(remote->output, text, sizeof text);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        close(remote->output);
        remote->output = -1;
        return;
    }
    const size_t room = sizeof remote->printed - 1 - remote->printed_bytes;
    const size_t kept = (size_t)got < room ? (size_t)got : room;
    memcpy(remote->printed + remote->printed_bytes, text, kept);
    remote->printed_bytes += kept;
    remote->printed_total += (size_t)got;
}

/* Its last line, for a message. */
static void last_words(const pk_remote *remote, char *text, size_t bytes)
{
    size_t end = remote->printed_bytes;
    while (end > 0 && (remote->printed[end - 1] == '\n' || remote->printed[end - 1] == ' '))
        end--;
    size_t begin = end;
    while (begin > 0 && remote->printed[begin - 1] != '\n')
        begin--;
    (void)snprintf(text, bytes, "%s%.*s", end > begin ? "; it printed last: " : "", (int)(end - begin),
                   remote->printed + begin);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

/* Its pipe is closed: has it ended, too? If not within two seconds, it is ended. */
static pk_status has_ended(pk_remote *remote, const char *while_it)
{
    char words[300];
    (void)pk_confined_ends(&remote->process, 2);
    for (int i = 0; i < 16 && remote->output >= 0; i++)
        take_output(remote);
    last_words(remote, words, sizeof words);
    pk_confined_kill(&remote->process);
    const int status = pk_confined_wait(&remote->process);
    if (status >= 0 && WIFSIGNALED(status))
        return pk_fail(PK_FAULT, "signal %d (%s) ended the process while it %s%s", WTERMSIG(status),
                       strsignal(WTERMSIG(status)), while_it, words);
    if (status < 0)
        return pk_fail(PK_FAULT, "the process closed its pipes while it %s%s", while_it, words);
    return pk_fail(PK_FAULT, "the process ended with exit code %d while it %s: nothing is graded without an answer%s",
                   WEXITSTATUS(status), while_it, words);
}

/* Until the reply can be read; output is taken meanwhile. */
static pk_status await_reply(pk_remote *remote, double until_us, const char *while_it)
{
    for (;;) {
        if (remote->printed_total > PK_REMOTE_OUTPUT)
            return pk_fail(PK_WRONG, "it printed more than %d bytes while it %s: print less", PK_REMOTE_OUTPUT,
                           while_it);
        struct pollfd files[] = {{remote->replies, POLLIN, 0}, {remote->output, POLLIN, 0}};
        const double left_ms = (until_us - pk_now_us()) / 1e3;
        if (left_ms <= 0)
            return pk_fail(PK_TIMEOUT, "no answer in time while it %s", while_it);
        if (poll(files, 2, (int)fmin(left_ms + 1, 1e6)) < 0 && errno != EINTR)
            return pk_fail(PK_FAULT, "cannot wait for the worker: %s", strerror(errno));
        if (files[1].revents && remote->output >= 0)
            take_output(remote);
        if (files[0].revents)
            return PK_OK;
    }
}

static pk_status read_reply(pk_remote *remote, void *data, size_t bytes, double until_us, const char *while_it)
{
    char *at = data;
    while (bytes > 0) {
        const pk_status status = await_reply(remote, until_us, while_it);
        if (status != PK_OK)
            return status;
        const ssize_t got = read(remote->replies, at, bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return has_ended(remote, while_it);
        at += got;
        bytes -= (size_t)got;
    }
    return PK_OK;
}

static pk_status out_of_turn(const char *while_it)
{
    return pk_fail(PK_WRONG, "the worker's message is not what is due while it %s: something wrote on its pipes",
                   while_it);
}

static pk_status keep_look(pk_remote *remote, const pk_wire_head *head, double until_us, const char *while_it)
{
    if (remote->look_count == MOST_LOOKS || head->bytes > PK_WIRE_MOST_BYTES || head->bytes < sizeof(uint64_t))
        return out_of_turn(while_it);
    pk_look *looks = realloc(remote->looks, (remote->look_count + 1) * sizeof *looks);
    unsigned char *bytes = malloc(head->bytes);
    if (looks)
        remote->looks = looks;
    if (!looks || !bytes) {
        free(bytes);
        return pk_out_of_memory("the judge");
    }
    looks[remote->look_count++] = (pk_look){bytes, head->bytes};
    return read_reply(remote, bytes, head->bytes, until_us, while_it);
}

static void forget_looks(pk_remote *remote)
{
    for (size_t i = 0; i < remote->look_count; i++)
        free(remote->looks[i].bytes);
    free(remote->looks);
    remote->looks = NULL;
    remote->look_count = 0;
}

/* The message of that kind, [bytes]; looks that come before it are kept. */
static pk_status receive(pk_remote *remote, pk_wire_kind kind, void *data, size_t bytes, double wait_s,
                         const char *while_it)
{
    const double until_us = pk_now_us() + wait_s * 1e6;
    for (;;) {
        pk_wire_head head;
        pk_status status = read_reply(remote, &head, sizeof head, until_us, while_it);
        if (status != PK_OK)
            return status;
        if (head.kind == (uint32_t)kind && head.bytes == bytes)
            return read_reply(remote, data, bytes, until_us, while_it);
        if (kind == PK_WIRE_DONE && head.kind == PK_WIRE_LOOK)
            status = keep_look(remote, &head, until_us, while_it);
        else
            status = out_of_turn(while_it);
        if (status != PK_OK)
            return status;
    }
}

/* What the worker says came of it: its word for a failure is taken, its word for success is not enough. */
static pk_status receive_outcome(pk_remote *remote, pk_wire_kind kind, pk_wire_outcome *outcome, double wait_s,
                                 const char *while_it)
{
    const pk_status status = receive(remote, kind, outcome, sizeof *outcome, wait_s, while_it);
    if (status != PK_OK)
        return status;
    outcome->text[sizeof outcome->text - 1] = '\0';
    outcome->open_step[sizeof outcome->open_step - 1] = '\0';
    if (outcome->status == PK_OK)
        return PK_OK;
    const bool known = outcome->status > PK_OK && outcome->status <= PK_INTERRUPTED;
    return pk_fail(known ? (pk_status)outcome->status : PK_FAULT, "%s", outcome->text);
}

static pk_status ask(pk_remote *remote, pk_wire_kind kind, const pk_wire_request *request, const char *while_it)
{
    return pk_wire_send(remote->requests, kind, request, sizeof *request) ? PK_OK : has_ended(remote, while_it);
}

/* ---- the process ---- */

/* "lab01_graded --worker --variant=stream --watchdog=20 --n=17 --k=3" */
static char **arguments_for(const char *program, const char *variant, double watchdog_s, const pk_bench *bench)
{
    enum { WORD = 512 };
    static char words[MOST_ARGUMENTS][WORD];
    static char *arguments[MOST_ARGUMENTS + 1];
    const pk_lab *lab = bench->lab;
    size_t count = 0;
    (void)snprintf(words[count++], WORD, "%s", program);
    (void)snprintf(words[count++], WORD, "--worker");
    (void)snprintf(words[count++], WORD, "--variant=%s", variant);
    (void)snprintf(words[count++], WORD, "--watchdog=%g", watchdog_s);
    for (size_t i = 0; i < lab->knob_count && count < MOST_ARGUMENTS; i++, count++) {
        char value[32];
        pk_knob_text(value, sizeof value, &lab->knobs[i], bench->knobs[i]);
        (void)snprintf(words[count], WORD, "--%s=%s", lab->knobs[i].name, value);
    }
    for (size_t i = 0; i < count; i++)
        arguments[i] = words[i];
    arguments[count] = NULL;
    return arguments;
}

/* Pipes and memory; the worker's ends are `theirs`: requests, replies, memory, output. */
static bool make_ends(pk_remote *remote, int theirs[4])
{
    int requests[2] = {-1, -1}, replies[2] = {-1, -1}, output[2] = {-1, -1};
    const int memory = memfd_create("pk-grade", MFD_CLOEXEC);
    bool there = memory >= 0 && ftruncate(memory, (off_t)remote->memory_bytes + 1) == 0;
    there = there && pipe2(requests, O_CLOEXEC) == 0 && pipe2(replies, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0;
    remote->memory = MAP_FAILED;
    if (there)
        remote->memory = mmap(NULL, remote->memory_bytes + 1, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    remote->requests = requests[1];
    remote->replies = replies[0];
    remote->output = output[0];
    if (there)
        (void)fcntl(output[0], F_SETFL, O_NONBLOCK);
    theirs[0] = requests[0];
    theirs[1] = replies[1];
    theirs[2] = memory;
    theirs[3] = output[1];
    return remote->memory != MAP_FAILED;
}

static void close_all(const int *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (files[i] >= 0)
            close(files[i]);
}

pk_remote pk_remote_none(void)
{
    return (pk_remote){.process = {.pid = -1}, .requests = -1, .replies = -1, .output = -1};
}

pk_status pk_remote_start(pk_remote *remote, const pk_confinement *limits, const char *program, const char *variant,
                          double watchdog_s, const pk_bench *bench)
{
    int theirs[4];
    *remote = pk_remote_none();
    remote->execute_s = watchdog_s + GRACE_S;
    remote->memory_bytes = pk_exchange_bytes(bench);
    pk_status status = make_ends(remote, theirs)
                           ? PK_OK
                           : pk_fail(PK_FAULT, "no pipes or memory to share with a worker: %s", strerror(errno));
    if (status == PK_OK)
        status = pk_confined_start(&remote->process, limits, arguments_for(program, variant, watchdog_s, bench),
                                   theirs[3], theirs, 3);
    close_all(theirs, 4);
    if (status != PK_OK)
        pk_remote_end(remote);
    return status;
}

pk_status pk_remote_prepared(pk_remote *remote, const pk_bench *bench, char *open_step, size_t bytes)
{
    pk_wire_hello hello;
    pk_wire_outcome outcome = {0};
    pk_status status = receive(remote, PK_WIRE_HELLO, &hello, sizeof hello, WAIT_S, "was set up");
    if (status != PK_OK)
        return status;
    if (hello.shape != pk_exchange_shape(bench) || hello.bytes != remote->memory_bytes)
        return pk_fail(PK_FAULT, "the worker's buffers are not those of the lab: build both anew");
    status = receive_outcome(remote, PK_WIRE_PREPARED, &outcome, WAIT_S, "prepared");
    remote->filtered = outcome.filtered != 0;
    (void)snprintf(open_step, bytes, "%s", outcome.open_step);
    return status;
}

pk_status pk_remote_load(pk_remote *remote, pk_buffer_set buffers)
{
    pk_wire_outcome outcome;
    const pk_wire_request request = {.buffers = buffers};
    const pk_status status = ask(remote, PK_WIRE_LOAD, &request, "waited for inputs");
    return status == PK_OK ? receive_outcome(remote, PK_WIRE_LOADED, &outcome, WAIT_S, "took its inputs") : status;
}

pk_status pk_remote_execute(pk_remote *remote, pk_remote_run *run)
{
    pk_wire_outcome outcome = {0};
    const pk_wire_request request = {run->back, run->is_looked_at, run->is_counted};
    forget_looks(remote);
    const double start_us = pk_now_us();
    pk_status status = ask(remote, PK_WIRE_GO, &request, "waited to begin");
    if (status == PK_OK)
        status = receive_outcome(remote, PK_WIRE_DONE, &outcome, remote->execute_s, "executed");
    run->elapsed_us = pk_now_us() - start_us;
    run->launches = outcome.launches;
    run->kernels = outcome.kernels;
    (void)snprintf(run->open_step, sizeof run->open_step, "%s", outcome.open_step);
    return status;
}

pk_status pk_remote_results(pk_remote *remote)
{
    pk_wire_outcome outcome;
    return receive_outcome(remote, PK_WIRE_RESULTS, &outcome, WAIT_S, "gave its results");
}

void pk_remote_end(pk_remote *remote)
{
    const int ends[] = {remote->requests, remote->replies, remote->output};
    if (remote->process.pid > 0) {
        pk_confined_kill(&remote->process);
        (void)pk_confined_wait(&remote->process);
    }
    close_all(ends, 3);
    if (remote->memory && remote->memory != MAP_FAILED)
        (void)munmap(remote->memory, remote->memory_bytes + 1);
    forget_looks(remote);
    *remote = pk_remote_none();
}
