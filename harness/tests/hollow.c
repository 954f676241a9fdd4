/* A library with a right name and none of the functions. */
int pk_hollow(void);
int pk_hollow(void)
{
    return 0;
}
