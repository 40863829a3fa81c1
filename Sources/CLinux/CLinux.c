#include "CLinux.h"

#include <stddef.h>
#include <string.h>

// Most shims are inline in the header, so that they cost no call. This file checks the layouts the Swift side relies on, and has what is longer.
_Static_assert(sizeof(struct kvm_userspace_memory_region) == 32, "kvm_userspace_memory_region");
_Static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "kvm_cpuid_entry2");
_Static_assert(offsetof(struct kvm_run, mmio) == 32 && offsetof(struct kvm_run, mmio.data) == 40, "kvm_run.mmio");

enum { most_descriptors = 253 };

// The alignment is cmsghdr's.
union ancillary {
    struct cmsghdr header;
    char space[CMSG_SPACE(most_descriptors * sizeof(int))];
};

int clinux_send_descriptors(int socket, uint32_t word, const int *descriptors, size_t count) {
    if (count > most_descriptors) {
        errno = EINVAL;
        return -1;
    }
    size_t size = count * sizeof(int);
    struct iovec data = {.iov_base = &word, .iov_len = sizeof word};
    union ancillary control = {.header = {.cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), descriptors, size);
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = CMSG_SPACE(size)};
    return (int)sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t clinux_receive_descriptors(int socket, uint32_t *word, int *descriptors, size_t capacity) {
    struct iovec data = {.iov_base = word, .iov_len = sizeof *word};
    union ancillary control;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (size < 0) return -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int holds_descriptors = header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
    size_t count = holds_descriptors ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (size != sizeof *word || (message.msg_flags & MSG_CTRUNC) || count > capacity) {
        errno = size == 0 ? ECONNRESET : EMSGSIZE;
        return -1;
    }
    if (count > 0) memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
    return (ssize_t)count;
}
