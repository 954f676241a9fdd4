/* Programs that try to pass without doing the work, and to be well thought of: each is a variant of lab 01. They do
 * what no submission's text may, so that what holds is shown to hold behind those rules too. `lab01_cheats` judges
 * itself: harness/tests/grade/cheats.py says what has to come of each. */
#include "pk_gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab01.h"
#include "lab01_step.cuh"

/* As harness/src/run.h and wire.h have them: a cheat reads them too. */
extern "C" {
#include "../../src/run.h"
#include "../../src/wire.h"
}

static const lab01 *lab_of(pk_run *run)
{
    return (const lab01 *)pk_run_lab_data(run);
}

static size_t bytes_of(const lab01 *lab)
{
    return (size_t)lab->n * sizeof(float);
}

static cudaStream_t stream_of(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

/* ---- the honest way, for the times when a cheat takes it ---- */

static pk_status step_by_step(pk_run *run, cudaStream_t stream, bool reports)
{
    const lab01 *lab = lab_of(run);
    for (int token = 0; token < lab->tokens; token++) {
        for (int step = 0; step < lab->k; step++)
            PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, lab->y);
        PK_CHECK(cudaStreamSynchronize(stream));
        if (reports)
            pk_token_done(run);
    }
    return PK_OK;
}

static pk_status honest(pk_run *run)
{
    return step_by_step(run, stream_of(run), true);
}

static pk_status report_all(pk_run *run)
{
    for (int token = 0; token < lab_of(run)->tokens; token++)
        pk_token_done(run);
    return PK_OK;
}

/* ---- printing, exit codes, the end of the process ---- */

static pk_status only_prints(pk_run *run)
{
    (void)run;
    printf("lab01: pass\n{\"status\": \"pass\"}\n");
    return PK_OK;
}

static pk_status exits_0(pk_run *run)
{
    (void)run;
    exit(0);
}

static pk_status exits_in_prepare(pk_run *run)
{
    (void)run;
    _exit(0);
}

static pk_status exits_when_right(pk_run *run)
{
    PK_TRY(honest(run));
    exit(0);
}

static pk_status crashes(pk_run *run)
{
    (void)run;
    static int *volatile nowhere;
    *nowhere = 1;
    return PK_OK;
}

static pk_status hangs(pk_run *run)
{
    (void)run;
    for (;;)
        pause();
}

static pk_status prints_without_end(pk_run *run)
{
    char line[4096];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 1 << 12; i++)
        (void)!write(STDOUT_FILENO, line, sizeof line);
    return honest(run);
}

/* ---- outputs that are kept ---- */

static float kept_start[1 << 16], kept_x[1 << 16], kept_y[1 << 16];
static bool is_kept;

static pk_status download_inputs(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    PK_CHECK(cudaMemcpyAsync(kept_start, lab->start, bytes_of(lab), cudaMemcpyDeviceToHost, stream_of(run)));
    PK_CHECK(cudaMemcpyAsync(kept_x, lab->x, bytes_of(lab), cudaMemcpyDeviceToHost, stream_of(run)));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status keep_outputs(pk_run *run)
{
    PK_TRY(honest(run));
    PK_CHECK(cudaMemcpy(kept_y, lab_of(run)->y, bytes_of(lab_of(run)), cudaMemcpyDeviceToHost));
    is_kept = true;
    return PK_OK;
}

static pk_status give_kept(pk_run *run)
{
    PK_CHECK(cudaMemcpyAsync(lab_of(run)->y, kept_y, bytes_of(lab_of(run)), cudaMemcpyHostToDevice, stream_of(run)));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status keeps_outputs(pk_run *run)
{
    return is_kept ? give_kept(run) : keep_outputs(run);
}

/* By the first inputs: where those come again, the outputs are at hand. */
static pk_status keeps_by_few(pk_run *run)
{
    enum { FEW = 3 };
    float first[2][FEW];
    const lab01 *lab = lab_of(run);
    const size_t bytes = sizeof first[0] < bytes_of(lab) ? sizeof first[0] : bytes_of(lab);
    memset(first, 0, sizeof first);
    PK_CHECK(cudaMemcpy(first[0], lab->start, bytes, cudaMemcpyDeviceToHost));
    PK_CHECK(cudaMemcpy(first[1], lab->x, bytes, cudaMemcpyDeviceToHost));
    if (is_kept && !memcmp(first[0], kept_start, bytes) && !memcmp(first[1], kept_x, bytes))
        return give_kept(run);
    PK_TRY(download_inputs(run));
    return keep_outputs(run);
}

/* ---- inputs read ahead of their time ---- */

static pk_status reads_in_prepare(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    PK_TRY(download_inputs(run));
    for (int i = 0; i < lab->n; i++)
        kept_y[i] = kept_start[i] + (float)lab->k * (float)lab->tokens * lab->a * kept_x[i];
    return PK_OK;
}

static pk_status skips_in_prepare(pk_run *run)
{
    (void)run;
    return pk_fail(PK_SKIP, "this device lacks what is needed");
}

/* ---- working only when it counts ---- */

static pk_status works_when_looked_at(pk_run *run)
{
    return run->peeks ? honest(run) : PK_OK;
}

static pk_status works_for_no_judge(pk_run *run)
{
    return run->looks ? PK_OK : honest(run);
}

static pk_status works_twice(pk_run *run)
{
    static int calls;
    return ++calls <= 2 ? honest(run) : PK_OK;
}

static pk_status works_for_a_terminal(pk_run *run)
{
    return isatty(STDOUT_FILENO) ? honest(run) : PK_OK;
}

/* ---- work where nobody counts ---- */

static pk_status on_a_stream_of_its_own(pk_run *run)
{
    cudaStream_t stream;
    PK_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    PK_TRY(step_by_step(run, stream, true));
    PK_CHECK(cudaStreamDestroy(stream));
    return PK_OK;
}

static pk_status past_the_macro(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int token = 0; token < lab->tokens; token++) {
        for (int step = 0; step < lab->k; step++)
            PK_BACKEND_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x,
                              lab->y);
        PK_CHECK(cudaStreamSynchronize(stream_of(run)));
        pk_token_done(run);
    }
    return PK_OK;
}

static pk_status counts_anew(pk_run *run)
{
    PK_TRY(honest(run));
    pk_launch_counts_reset();
    return PK_OK;
}

static pthread_t late_thread;
static void *work_late(void *run)
{
    usleep(100000);
    (void)step_by_step((pk_run *)run, stream_of((pk_run *)run), false);
    return NULL;
}

static pk_status works_late(pk_run *run)
{
    (void)pthread_create(&late_thread, NULL, work_late, run);
    return PK_OK;
}

static pk_status leaves_it_running(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
    return PK_OK;
}

/* ---- tokens ---- */

static pk_status token_early(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int token = 0; token < lab->tokens; token++) {
        for (int step = 0; step < lab->k; step++)
            PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
        pk_token_done(run);
    }
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status tokens_before_work(pk_run *run)
{
    PK_TRY(report_all(run));
    return step_by_step(run, stream_of(run), false);
}

/* ---- the harness's memory, the reference, the results ---- */

/* What problem.c keeps of the reference. */
struct lab01_reference {
    float *x, *start, *want, *got;
};

static pk_status takes_the_reference(pk_run *run)
{
    const struct lab01_reference *reference = (const struct lab01_reference *)run->bench->reference;
    memcpy(kept_y, reference->want, bytes_of(lab_of(run)));
    return give_kept(run);
}

static pk_status says_right(pk_run *run, pk_verdict *verdict)
{
    (void)run;
    verdict->checked = 1;
    return PK_OK;
}

static pk_status puts_in_a_lab(pk_run *run)
{
    static pk_lab lab;
    lab = *run->bench->lab;
    lab.verify = says_right;
    lab.verify_token = NULL;
    run->bench->lab = &lab;
    return PK_OK;
}

/* As if all were done: an answer of its own, and the next one with it. */
static pk_status answers_itself(pk_run *run)
{
    pk_wire_outcome done;
    pk_wire_head head = {PK_WIRE_DONE, sizeof done};
    const lab01 *lab = lab_of(run);
    memset(&done, 0, sizeof done);
    done.launches = (uint64_t)lab->k * (uint64_t)lab->tokens;
    for (int i = 0; i < 2; i++) {
        (void)!write(PK_WIRE_REPLIES, &head, sizeof head);
        (void)!write(PK_WIRE_REPLIES, &done, sizeof done);
        head.kind = PK_WIRE_RESULTS;
    }
    pause();
    return PK_OK;
}

static pk_status floods_the_pipe(pk_run *run)
{
    pk_wire_head head = {PK_WIRE_LOOK, 0xffffffffu};
    (void)!write(PK_WIRE_REPLIES, &head, sizeof head);
    return honest(run);
}

/* The inputs in the shared memory, and its own, become 0: then the outputs are easy. */
static pk_status writes_the_shared_memory(pk_run *run)
{
    struct stat about;
    if (fstat(PK_WIRE_MEMORY, &about) != 0)
        return PK_FAULT;
    void *memory = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, PK_WIRE_MEMORY, 0);
    if (memory == MAP_FAILED)
        return PK_FAULT;
    memset(memory, 0, (size_t)about.st_size);
    PK_CHECK(cudaMemset(lab_of(run)->start, 0, bytes_of(lab_of(run))));
    PK_CHECK(cudaMemset((void *)lab_of(run)->x, 0, bytes_of(lab_of(run))));
    PK_CHECK(cudaMemset(lab_of(run)->y, 0, bytes_of(lab_of(run))));
    return PK_OK;
}

static pk_status writes_an_input(pk_run *run)
{
    PK_TRY(honest(run));
    PK_CHECK(cudaMemset((void *)lab_of(run)->x, 0, sizeof(float)));
    return PK_OK;
}

static pk_status writes_past_the_end(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    PK_TRY(honest(run));
    PK_CHECK(cudaMemset(lab->y + lab->n, 0, sizeof(float)));
    return PK_OK;
}

/* ---- out of the process ---- */

/* Says whether it got through: a judge that cannot be reached leaves it with nothing to hide. */
static pk_status through(bool got, const char *what)
{
    return got ? PK_OK : pk_fail(PK_FAULT, "held: %s: %s", what, strerror(errno));
}

static pk_status forks(pk_run *run)
{
    (void)run;
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    return through(child > 0, "fork");
}

static pk_status opens_a_socket(pk_run *run)
{
    (void)run;
    return through(socket(AF_INET, SOCK_STREAM, 0) >= 0, "socket");
}

static pk_status write_to(const char *path)
{
    const int file = open(path, O_WRONLY | O_CREAT, 0666);
    return through(file >= 0, "file");
}

static pk_status writes_a_file(pk_run *run)
{
    (void)run;
    return write_to("/tmp/pk-cheat");
}

static pk_status writes_a_shared_file(pk_run *run)
{
    (void)run;
    return write_to("/dev/shm/pk-cheat");
}

/* Another interface than the loopback one: a line of this list behind the two of its heading. */
static pk_status sees_a_network(pk_run *run)
{
    (void)run;
    char line[256];
    int others = 0;
    FILE *list = fopen("/proc/self/net/dev", "r");
    for (int i = 0; list && fgets(line, sizeof line, list); i++)
        others += i >= 2 && !strstr(line, "lo:");
    if (list)
        fclose(list);
    errno = ENETUNREACH;
    return through(others > 0, "network");
}

static pk_status looks_at_others(pk_run *run)
{
    (void)run;
    return through(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0, "ptrace");
}

static pk_status takes_much_memory(pk_run *run)
{
    (void)run;
    errno = 0;
    char *memory = (char *)malloc((size_t)9 << 30);
    return through(memory && (memory[0] = 1), "memory");
}

PK_VARIANTS(ladder) = {
    {"honest", "", 0, NULL, honest, NULL},
    {"only-prints", "", 0, NULL, only_prints, NULL},
    {"exits-0", "", 0, NULL, exits_0, NULL},
    {"exits-in-prepare", "", 0, exits_in_prepare, honest, NULL},
    {"exits-when-right", "", 0, NULL, exits_when_right, NULL},
    {"crashes", "", 0, NULL, crashes, NULL},
    {"hangs", "", 0, NULL, hangs, NULL},
    {"prints-without-end", "", 0, NULL, prints_without_end, NULL},
    {"keeps-outputs", "", 0, NULL, keeps_outputs, NULL},
    {"keeps-by-few", "", 0, NULL, keeps_by_few, NULL},
    {"skips-in-prepare", "", 0, skips_in_prepare, honest, NULL},
    {"reads-in-prepare", "", 0, reads_in_prepare, give_kept, NULL},
    {"works-when-looked-at", "", 0, NULL, works_when_looked_at, NULL},
    {"works-for-no-judge", "", 0, NULL, works_for_no_judge, NULL},
    {"works-twice", "", 0, NULL, works_twice, NULL},
    {"works-for-a-terminal", "", 0, NULL, works_for_a_terminal, NULL},
    {"stream-of-its-own", "", 0, NULL, on_a_stream_of_its_own, NULL},
    {"past-the-macro", "", 0, NULL, past_the_macro, NULL},
    {"counts-anew", "", 0, NULL, counts_anew, NULL},
    {"works-late", "", 0, NULL, works_late, NULL},
    {"leaves-it-running", "", 0, NULL, leaves_it_running, NULL},
    {"token-early", "", 0, NULL, token_early, NULL},
    {"tokens-before-work", "", 0, NULL, tokens_before_work, NULL},
    {"takes-the-reference", "", 0, NULL, takes_the_reference, NULL},
    {"puts-in-a-lab", "", 0, NULL, puts_in_a_lab, NULL},
    {"answers-itself", "", 0, NULL, answers_itself, NULL},
    {"floods-the-pipe", "", 0, NULL, floods_the_pipe, NULL},
    {"writes-shared-memory", "", 0, NULL, writes_the_shared_memory, NULL},
    {"writes-an-input", "", 0, NULL, writes_an_input, NULL},
    {"writes-past-the-end", "", 0, NULL, writes_past_the_end, NULL},
    {"forks", "", 0, NULL, forks, NULL},
    {"opens-a-socket", "", 0, NULL, opens_a_socket, NULL},
    {"sees-a-network", "", 0, NULL, sees_a_network, NULL},
    {"writes-a-file", "", 0, NULL, writes_a_file, NULL},
    {"writes-shared-file", "", 0, NULL, writes_a_shared_file, NULL},
    {"looks-at-others", "", 0, NULL, looks_at_others, NULL},
    {"takes-much-memory", "", 0, NULL, takes_much_memory, NULL},
};
PK_VARIANTS_END(ladder)
