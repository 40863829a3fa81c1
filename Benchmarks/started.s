# The only program of the tiny image: prints a word and exits.
    .globl _start
_start:
    mov $1, %eax                # SYS_write
    mov $1, %edi
    lea text(%rip), %rsi
    mov $8, %edx
    syscall
    mov $60, %eax               # SYS_exit
    xor %edi, %edi
    syscall
text:
    .ascii "started\n"
