/* A whole run of a lab program. */
#ifndef PK_SESSION_H
#define PK_SESSION_H

#include "pk/lab.h"

/* Everything between main's arguments and its exit code. Once a process. */
int pk_session_main(const pk_lab *lab, int argc, char **argv);

#endif
