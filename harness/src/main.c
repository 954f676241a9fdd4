/* main of every lab program. */
#include <signal.h>

#include "session.h"

#include "pk/result.h"

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN); /* `| head`: nobody reads on, and the result files are still to be written */
    return pk_output_ended(pk_this_lab.id, pk_session_main(&pk_this_lab, argc, argv));
}
