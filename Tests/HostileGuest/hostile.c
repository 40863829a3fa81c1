// A kernel whose only purpose is to break the VMM below it: entered in 64-bit mode by `swiftlet run --kernel`, it writes anything to any port and register, lies in its
// rings, and ends in a way of its own. What it does follows from the record below, which a test patches into the file.
//
// Without an IDT every exception is a triple fault: that is one of the ends.
#include <stdint.h>

struct orders {
    char magic[16];
    uint64_t seed;
    /// A bit for each kind of attack: see `attack`.
    uint64_t attacks;
    uint64_t rounds;
    uint64_t end;
};

__attribute__((section(".data"), used)) volatile struct orders orders = {"HOSTILE-ORDERS-", 1, ~0ull, 1000, 0};

enum { REGISTERS = 1, PORTS = 2, RINGS = 4, STORM = 8, OUTSIDE = 16, REQUESTS = 32 };
enum { TRIPLE_FAULT, RESET, HALT, LOOP, EXECUTE_REGISTERS, NOTIFY_FOR_EVER, PRINT_FOR_EVER };

#define DEVICES 0xD0000000ull
#define DEVICE_COUNT 8
/// Where the attack's own rings and buffers are, out of the program's way.
#define ARENA 0x1000000ull
#define ARENA_SIZE 0x400000ull

// MARK: Machine

static inline void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out16(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out32(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline uint8_t in8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint32_t in32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/// `outsb` and `insb` with a count: KVM hands them over a page at a time.
static void out_string(uint16_t port, const void *bytes, uint64_t count) {
    __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}
static void in_string(uint16_t port, void *bytes, uint64_t count) {
    __asm__ volatile("rep insb" : "+D"(bytes), "+c"(count) : "d"(port) : "memory");
}

static void print(const char *text) {
    while (*text) out8(0x3F8, (uint8_t)*text++);
}

static uint64_t state;

static uint64_t random(void) {
    uint64_t mixed = state += 0x9E3779B97F4A7C15ull;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
    return mixed ^ (mixed >> 31);
}

static uint64_t pick(uint64_t limit) { return random() % limit; }

/// The VMM mapped one GiB: four, registers included.
static uint64_t directories[4][512] __attribute__((aligned(4096)));
static uint64_t pointers[512] __attribute__((aligned(4096)));
static uint64_t top[512] __attribute__((aligned(4096)));

static void map_all(void) {
    for (uint64_t index = 0; index < 2048; index++) directories[index / 512][index % 512] = index << 21 | 0x83;
    for (uint64_t index = 0; index < 4; index++) pointers[index] = (uint64_t)directories[index] | 3;
    top[0] = (uint64_t)pointers | 3;
    __asm__ volatile("mov %0, %%cr3" ::"r"(top) : "memory");
}

// MARK: Registers

static void write_register(uint64_t address, unsigned width, uint64_t value) {
    switch (width) {
    case 1: *(volatile uint8_t *)address = (uint8_t)value; break;
    case 2: *(volatile uint16_t *)address = (uint16_t)value; break;
    case 4: *(volatile uint32_t *)address = (uint32_t)value; break;
    default: *(volatile uint64_t *)address = value;
    }
}

static uint64_t read_register(uint64_t address, unsigned width) {
    switch (width) {
    case 1: return *(volatile uint8_t *)address;
    case 2: return *(volatile uint16_t *)address;
    case 4: return *(volatile uint32_t *)address;
    default: return *(volatile uint64_t *)address;
    }
}

static uint64_t device(void) { return DEVICES + pick(DEVICE_COUNT) * 0x1000; }
static void set(uint64_t base, unsigned offset, uint32_t value) { write_register(base + offset, 4, value); }

/// RAM, its end, the gap, beyond, around.
static uint64_t address(void) {
    switch (pick(10)) {
    case 0: return random();
    case 1: return 0x4000000 * (1 + pick(8)) - pick(64);
    case 2: return ~0ull - pick(64);
    case 3: return 0xC0000000ull + pick(64);
    case 4: return DEVICES + pick(0x8000);
    case 5: return 0x100000000ull - pick(64);
    default: return ARENA + pick(ARENA_SIZE / 16) * 16;
    }
}

static uint32_t length(void) {
    switch (pick(5)) {
    case 0: return (uint32_t)random();
    case 1: return 16 * (uint32_t)pick(300);
    case 2: return 512 * (uint32_t)pick(300);
    default: return (uint32_t)pick(600);
    }
}

static void attack_registers(void) {
    static const uint16_t known[] = {0x10, 0x14, 0x20, 0x24, 0x30, 0x34, 0x38, 0x44, 0x50, 0x60, 0x64, 0x70, 0x80, 0x84, 0x90, 0xA0, 0xFC, 0x100};
    unsigned widths[] = {1, 2, 4, 8};
    uint64_t target = device() + (pick(4) ? known[pick(sizeof known / sizeof *known)] : pick(0x1000));
    unsigned width = pick(4) ? 4 : widths[pick(4)];
    write_register(target, width, pick(2) ? pick(20) : address());
    (void)read_register(target, width);
    // Across the line between two devices: KVM makes two accesses of it, of any width.
    if (!pick(16)) write_register(device() + 0x1000 - 1 - pick(7), 8, random());
    if (!pick(16)) (void)read_register(device() + 0x1000 - 1 - pick(7), 8);
}

/// Addresses that nobody answers, and those of KVM's own devices.
static void attack_outside(void) {
    static const uint64_t places[] = {0xC0000000ull, 0xCFFFFFF8ull, 0xD0020000ull, 0xFEC00000ull, 0xFFFFFFF0ull, 0xE0000000ull};
    uint64_t target = places[pick(sizeof places / sizeof *places)] + pick(8);
    write_register(target, 1u << pick(4), random());
    (void)read_register(target, 1u << pick(4));
}

static void attack_ports(void) {
    static const uint16_t known[] = {0x3F8, 0x3F9, 0x3FA, 0x3FB, 0x3FC, 0x3FD, 0x3FF, 0x60, 0x61, 0x510, 0x511, 0x20, 0x21, 0x40, 0x43, 0x70, 0x71, 0xCF8, 0xCFC};
    uint16_t port = pick(3) ? known[pick(sizeof known / sizeof *known)] : (uint16_t)random();
    // Command 0xFE there is the end, which comes by itself.
    if (port >= 0x61 && port <= 0x64) port = 0x80;
    switch (pick(6)) {
    case 0: out8(port, (uint8_t)random()); break;
    case 1: out16(port, (uint16_t)random()); break;
    case 2: out32(port, (uint32_t)random()); break;
    case 3: (void)in8(port); (void)in32(port); break;
    case 4: out_string(port, (void *)(ARENA + pick(4096)), pick(10000)); break;
    default: in_string(port, (void *)(ARENA + pick(4096)), pick(10000));
    }
}

// MARK: Rings

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static void negotiate(uint64_t base) {
    set(base, 0x70, 0);
    set(base, 0x70, 1);
    set(base, 0x70, 3);
    for (uint32_t half = 0; half < 2; half++) {
        set(base, 0x14, half);
        uint32_t features = (uint32_t)read_register(base + 0x10, 4);
        set(base, 0x24, half);
        set(base, 0x20, half == 0 && pick(2) ? features & ~(1u << 29) : features);
    }
    set(base, 0x70, 11);
}

static void install(uint64_t base, uint32_t queue, uint32_t size, const uint64_t places[3]) {
    static const uint16_t offsets[] = {0x80, 0x90, 0xA0};
    set(base, 0x30, queue);
    set(base, 0x38, size);
    for (int part = 0; part < 3; part++) {
        set(base, offsets[part], (uint32_t)places[part]);
        set(base, offsets[part] + 4, (uint32_t)(places[part] >> 32));
    }
    set(base, 0x44, 1);
}

/// Rings at hostile addresses, over each other, or in order with nonsense in them.
static void attack_rings(void) {
    uint64_t base = device();
    negotiate(base);
    for (uint32_t queue = 0; queue < 3; queue++) {
        uint64_t overlapping = ARENA + pick(64) * 16;
        uint64_t places[3];
        int kind = (int)pick(3);
        for (int part = 0; part < 3; part++)
            places[part] = kind == 0 ? address() : kind == 1 ? overlapping + pick(16) * 2 : ARENA + queue * 0x10000 + (uint64_t)part * 0x4000;
        install(base, queue, 1u << pick(9), places);
    }
    set(base, 0x70, 15);
    for (uint64_t count = 0; count < 64; count++) {
        volatile struct descriptor *slot = (struct descriptor *)(ARENA + pick(3) * 0x10000 + pick(16) * 16);
        slot->address = address();
        slot->length = length();
        slot->flags = (uint16_t)pick(8);
        slot->next = (uint16_t)pick(20);
        volatile uint16_t *available = (uint16_t *)(ARENA + pick(3) * 0x10000 + 0x4000);
        available[2 + pick(16)] = (uint16_t)pick(20);
        available[1] = (uint16_t)(pick(16) ? available[1] + 1u : random());
        set(base, 0x50, (uint32_t)pick(4));
        // In mid-request, perhaps: the event loop runs beside us.
        if (!pick(16)) set(base, 0x70, 0);
        if (!pick(32)) set(base, 0x38, 1u << pick(16));
    }
}

/// A request of a kind that devices know, over and over, with lengths that lie.
static void attack_requests(void) {
    uint64_t base = device();
    negotiate(base);
    for (uint32_t queue = 0; queue < 3; queue++) {
        uint64_t ring = ARENA + queue * 0x10000;
        for (uint64_t place = ring; place < ring + 0x10000; place += 8) *(volatile uint64_t *)place = 0;
        install(base, queue, 8, (const uint64_t[]){ring, ring + 0x4000, ring + 0x8000});
    }
    set(base, 0x70, 15);
    for (uint16_t count = 1; count < 40; count++) {
        uint32_t queue = (uint32_t)pick(2);
        uint64_t ring = ARENA + queue * 0x10000, header = ARENA + 0x40000;
        volatile uint32_t *words = (uint32_t *)header;
        for (int word = 0; word < 16; word++) words[word] = (uint32_t)(pick(2) ? pick(14) : random());
        words[0] = (uint32_t)pick(14);
        if (pick(2)) {
            // A packet from CID 3 to CID 2.
            *(volatile uint64_t *)header = 3;
            *(volatile uint64_t *)(header + 8) = 2;
            words[5] = (uint32_t)(1024 + pick(4));
            words[7] = 1 | (uint32_t)(1 + pick(8)) << 16;
            words[6] = length();
        }
        volatile struct descriptor *table = (struct descriptor *)ring;
        table[0].address = header;
        table[0].length = pick(4) ? 16 : length();
        table[0].flags = (uint16_t)(1 | (pick(4) ? 0 : 2));
        table[0].next = 1;
        table[1].address = pick(4) ? header + 64 : address();
        table[1].length = pick(2) ? 512 : length();
        table[1].flags = (uint16_t)(1 | (uint16_t)(2 * pick(2)));
        table[1].next = (uint16_t)(pick(8) ? 2 : pick(10));
        table[2].address = header + 0x10000;
        table[2].length = 1 + (uint32_t)pick(100);
        table[2].flags = 2;
        volatile uint16_t *available = (uint16_t *)(ring + 0x4000);
        available[2 + (available[1] & 7)] = 0;
        __sync_synchronize();
        available[1] = (uint16_t)(available[1] + 1);
        set(base, 0x50, queue);
        if (!pick(20)) set(base, 0x70, 0);
    }
}

static void attack_by_storm(void) {
    uint64_t base = device();
    for (int count = 0; count < 100; count++) set(base, 0x50, (uint32_t)pick(4));
}

// MARK: Life

static void attack(uint64_t kinds) {
    switch (1u << pick(6)) {
    case REGISTERS: if (kinds & REGISTERS) attack_registers(); break;
    case PORTS: if (kinds & PORTS) attack_ports(); break;
    case RINGS: if (kinds & RINGS) attack_rings(); break;
    case STORM: if (kinds & STORM) attack_by_storm(); break;
    case OUTSIDE: if (kinds & OUTSIDE) attack_outside(); break;
    default: if (kinds & REQUESTS) attack_requests();
    }
}

static void end(void) {
    switch (orders.end) {
    case RESET:
        out8(0x64, 0xFE);
        break;
    case HALT:
        for (;;) __asm__ volatile("cli; hlt");
    case LOOP:
        for (;;) attack(orders.attacks);
    case EXECUTE_REGISTERS:
        ((void (*)(void))DEVICES)();
        break;
    case NOTIFY_FOR_EVER:
        for (;;) attack_by_storm();
    case PRINT_FOR_EVER:
        for (;;) print("\033]0;owned\007 all work and no play\n");
    default: break;
    }
    for (;;) __asm__ volatile("ud2");
}

void hostile(void) {
    map_all();
    state = orders.seed;
    print("hostile: here\n");
    for (uint64_t round = 0; round < orders.rounds; round++) attack(orders.attacks);
    // Speed and parity may have become anything.
    out8(0x3FB, 3);
    print("\nhostile: done\n");
    end();
}

__attribute__((naked, section(".start"))) void _start(void) {
    __asm__("lea stack + 16384(%rip), %rsp\n cld\n call hostile\n ud2");
}

__attribute__((used)) char stack[16384] __attribute__((aligned(16)));
