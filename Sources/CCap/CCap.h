// libcap: capabilities of processes.
#pragma once

#include <sys/capability.h>
