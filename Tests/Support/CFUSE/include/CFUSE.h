// The protocol as Linux declares it (linux-libc-dev).
#include <linux/fuse.h>
