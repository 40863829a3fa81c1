/* Executes a fixed number of instructions and prints how long that took, in microseconds. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int main(void)
{
    int64_t start = now();
    for (int i = 0; i < 20000000; i++)
        __asm__ volatile("");
    printf("%lld\n", (long long)(now() - start) / 1000);
    return 0;
}
