// What somebody would try who has taken over a thread of the VMM.
#pragma once

/// Tries the attack `name`, or each one for "all", and prints for each on standard error what came of it: "attack NAME: ERRNO" or "attack NAME: SUCCEEDED".
/// A filter that forbids it ends the process instead. Returns 0 if there is no such attack.
int cattacks_try(const char *name);

/// Whether the jail is locked by now: no more threads may be made.
int cattacks_is_locked(void);
