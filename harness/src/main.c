/* main of every lab program. */
#include "session.h"

int main(int argc, char **argv)
{
    return pk_session_main(&pk_this_lab, argc, argv);
}
