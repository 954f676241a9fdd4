/* main of every lab program. */
#include <signal.h>

#include <string.h>

#include "judge.h"
#include "pk/result.h"
#include "session.h"
#include "worker.h"

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN); /* `| head`: nobody reads on, and the result files are still to be written */
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return pk_worker_main(&pk_this_lab, argc, argv);
    if (argc > 1 && strcmp(argv[1], "--judge") == 0)
        return pk_judge_main(&pk_this_lab, argc, argv);
    return pk_output_ended(pk_this_lab.id, pk_session_main(&pk_this_lab, argc, argv));
}
