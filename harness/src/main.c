/* main of every lab program. */
#include "session.h"

#include "pk/result.h"

int main(int argc, char **argv)
{
    return pk_output_ended(pk_this_lab.id, pk_session_main(&pk_this_lab, argc, argv));
}
