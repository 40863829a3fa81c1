# What QEMU's machine runs as PID 1: reboot(2) at once, the least that a guest can do. One page of ELF.
    .globl _start
_start:
    mov $169, %eax              # SYS_reboot
    mov $0xfee1dead, %edi
    mov $672274793, %esi
    mov $0x01234567, %edx       # LINUX_REBOOT_CMD_RESTART
    syscall
    hlt
