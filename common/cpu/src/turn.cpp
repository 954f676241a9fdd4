/* Turns: under PK_CPU_SCHEDULE=random one block runs at a time, and who is next is drawn.
 *
 * A block has the turn from its first thread's beginning. It passes it on at an atomic access or a fence now and then,
 * whenever it polls, and where its threads meet those of other blocks; so another block may run between any two atomic
 * accesses, and a step that is not one step fails by seed. The turn goes to a block that waits for it, or to one that
 * has not begun and finds a seat. Blocks that wait for their turn count as waiting, so the engine lets no more run.
 * A block that keeps the turn while it polls in a way that cannot be seen here loses it to the ticker. */
#include "engine.h"

#include "os.h"

static struct {
    struct pk_runner *holder;  /* or null: whoever comes takes it */
    struct pk_runner *waiting; /* by launch, then by block: the draw does not see who came first */
    unsigned n_waiting;
    uint64_t random;
} turn; /* under the lock */

/* Stored with the lock held. Read without it as well, where a runner asks whether it is the one: nobody else makes it
 * so, and so relaxed is enough. */
static struct pk_runner *holder(void)
{
    return __atomic_load_n(&turn.holder, __ATOMIC_RELAXED);
}

static void set_holder(struct pk_runner *runner)
{
    __atomic_store_n(&turn.holder, runner, __ATOMIC_RELAXED);
}

enum { START_LIMIT_NS = 50000000 }; /* that a runner takes to come for a block, before its turn goes back */

static bool taken_in_turn(void)
{
    return pk_settings.order == PK_ORDER_RANDOM && pk_self;
}

static uint64_t draw(uint64_t n)
{
    if (turn.random == 0)
        turn.random = pk_mix(pk_settings.seed + 1);
    turn.random = pk_mix(turn.random + 0x9e3779b97f4a7c15u);
    return turn.random % n;
}

static bool comes_before(const struct pk_runner *a, const struct pk_runner *b)
{
    const uint64_t salt_a = a->kernel->as.kernel.grid.salt, salt_b = b->kernel->as.kernel.grid.salt;
    return salt_a != salt_b ? salt_a < salt_b : a->batch.at < b->batch.at;
}

static void enqueue(struct pk_runner *runner)
{
    struct pk_runner **at = &turn.waiting;
    while (*at && comes_before(*at, runner))
        at = &(*at)->next_in_turn;
    runner->next_in_turn = *at;
    *at = runner;
    turn.n_waiting++;
    __atomic_store_n(&runner->has_turn, 0, __ATOMIC_RELAXED);
    pk_runner_set_waits(runner, true);
}

static void take(struct pk_runner *runner)
{
    set_holder(runner);
    runner->still_ticks = 0;
    pk_runner_set_waits(runner, false);
    __atomic_store_n(&runner->has_turn, 1, __ATOMIC_RELEASE); /* pairs with wait_for_turn */
}

static void dequeue(struct pk_runner *runner)
{
    struct pk_runner **at = &turn.waiting;
    while (*at != runner)
        at = &(*at)->next_in_turn;
    *at = runner->next_in_turn;
    turn.n_waiting--;
}

/* The turn goes to the `k`-th that waits. */
static void hand_to(uint64_t k)
{
    struct pk_runner *next = turn.waiting;
    while (k-- > 0)
        next = next->next_in_turn;
    dequeue(next);
    take(next);
    pk_futex_wake(&next->has_turn, 1);
}

/* Without the lock. */
static void wait_for_turn(struct pk_runner *runner)
{
    const struct timespec limit = {0, START_LIMIT_NS};
    while (!__atomic_load_n(&runner->has_turn, __ATOMIC_ACQUIRE)) {
        pk_futex_wait(&runner->has_turn, 0, &limit);
        pk_lock();
        if (!holder() && !runner->has_turn) { /* nobody came for the block that was to begin */
            dequeue(runner);
            take(runner);
        }
        pk_unlock();
    }
}

void pk_turn_begin(void)
{
    struct pk_runner *runner = pk_self;
    if (!taken_in_turn() || holder() == runner)
        return;
    pk_lock();
    const bool free = !holder();
    if (free)
        take(runner);
    else
        enqueue(runner);
    pk_unlock();
    if (!free)
        wait_for_turn(runner);
}

bool pk_turn_pass(void)
{
    struct pk_runner *runner = pk_self;
    if (!taken_in_turn())
        return false;
    if (holder() != runner) { /* the ticker took it */
        pk_turn_begin();
        return true;
    }
    pk_lock();
    const unsigned others = turn.n_waiting;
    const unsigned choices = others + pk_block_can_start();
    if (choices == 0) {
        pk_unlock();
        return false;
    }
    const uint64_t next = draw(choices);
    if (next < others) {
        hand_to(next);
        enqueue(runner);
    } else {
        set_holder(nullptr);
        enqueue(runner);
        pk_seats_fill();
    }
    pk_unlock();
    wait_for_turn(runner);
    return true;
}

/* With the lock held. */
static void let_go(void)
{
    set_holder(nullptr);
    if (turn.n_waiting)
        hand_to(draw(turn.n_waiting));
}

void pk_turn_end(void)
{
    if (!taken_in_turn() || holder() != pk_self)
        return;
    pk_lock();
    let_go();
    pk_unlock();
}

void pk_turn_revoke(const struct pk_runner *runner)
{
    if (holder() == runner)
        let_go();
}

bool pk_cpu_interleaves;

/* An access is a scheduling point now and then: in every second one, every eighth or every 32nd by the seed, since
 * some mistakes need many changes and some need long stretches; less often in a launch that has changed a lot. */
static unsigned rate_of(const struct pk_grid *grid)
{
    const unsigned rate = 2u << 2 * (pk_settings.seed % 3);
    const unsigned changes = __atomic_load_n(&grid->changes, __ATOMIC_RELAXED); /* other runners add */
    return changes < 1024 ? rate : changes < 8192 ? 8 * rate : 64 * rate;
}

extern "C" void pk_cpu_interleave(void)
{
    struct pk_cpu_block *block = pk_running_block;
    if (!block || pk_block_draw(block, rate_of(block->grid)) != 0)
        return;
    __atomic_fetch_add(&block->grid->changes, 1, __ATOMIC_RELAXED);
    if (pk_block_draw(block, 2) || !pk_thread_give_way(block, nullptr, 0))
        (void)pk_turn_pass();
}
