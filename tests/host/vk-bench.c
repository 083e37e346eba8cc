/*
 * What a Vulkan program feels of mapped memory: how long an allocation lives
 * that it maps, writes and frees, with others held; and what its pages cost,
 * beside the program's own memory.
 *
 * vk-bench TURNS HELD...: lines "what<tab>which<tab>value"; "life" in us, the
 * median of so many turns, or of what is done in 10 s, "touch" in ns a page,
 * "copy" in MiB/s.  Memory that is refused is said as "refused", with how many
 * were held by then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "vk-device.h"

#define PAGE 4096ull
#define SMALL (16 * PAGE)
#define LARGE (16ull << 20)
#define COPIES 8
#define TOUCHES 16
/* So long at most with that many held */
#define ENOUGH_NS 10e9
/* Pages at a power of two from each other would share an emulated TLB's entry. */
#define SKEW (37 * PAGE)

struct memory {
    VkDeviceMemory memory;
    unsigned char *p;
};

static struct vk_device gpu;
static uint32_t type;

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void say(const char *what, const char *which, double value)
{
    printf("%s\t%s\t%.1f\n", what, which, value);
}

static void choose_type(void)
{
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties props;

    vkGetPhysicalDeviceMemoryProperties(gpu.phys, &props);
    for (type = 0; type < props.memoryTypeCount; type++) {
        if ((props.memoryTypes[type].propertyFlags & wanted) == wanted) {
            return;
        }
    }
    printf("vulkan: no memory that is visible and coherent\n");
    exit(3);
}

static bool get(struct memory *m, uint64_t size)
{
    const VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .memoryTypeIndex = type,
        .allocationSize = size,
    };

    if (vkAllocateMemory(gpu.dev, &info, NULL, &m->memory) != VK_SUCCESS) {
        return false;
    }
    if (vkMapMemory(gpu.dev, m->memory, 0, VK_WHOLE_SIZE, 0,
                    (void **)&m->p) != VK_SUCCESS) {
        vkFreeMemory(gpu.dev, m->memory, NULL);
        return false;
    }
    return true;
}

static void put(struct memory *m)
{
    vkUnmapMemory(gpu.dev, m->memory);
    vkFreeMemory(gpu.dev, m->memory, NULL);
}

static bool live_once(void)
{
    struct memory m;

    if (!get(&m, SMALL)) {
        return false;
    }
    memset(m.p, 1, SMALL);
    put(&m);
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure_life(unsigned turns, const char *which)
{
    double *ns = calloc(turns, sizeof(*ns)), begin = now_ns();
    unsigned i;

    for (i = 0; i < turns && now_ns() - begin < ENOUGH_NS; i++) {
        double start = now_ns();

        if (!live_once()) {
            say("refused", which, i);
            free(ns);
            return;
        }
        ns[i] = now_ns() - start;
    }
    qsort(ns, i, sizeof(*ns), compare);
    say("life", which, ns[i / 2] / 1000);
    free(ns);
}

/* With so many held */
static void measure_held(unsigned turns, unsigned held, const char *which)
{
    struct memory *m = calloc(held + 1, sizeof(*m));
    unsigned n = 0;

    while (n < held && get(&m[n], SMALL)) {
        m[n++].p[0] = 1;
    }
    if (n < held) {
        say("refused", which, n);
    } else {
        measure_life(turns, which);
    }
    while (n > 0) {
        put(&m[--n]);
    }
    free(m);
}

/* The median of parts, as other work makes some slower */
static void measure_touch(volatile unsigned char *p, const char *which)
{
    double ns[TOUCHES];
    uint64_t at;
    unsigned i;

    for (i = 0; i < TOUCHES; i++) {
        double start = now_ns();

        for (at = 0; at < LARGE / TOUCHES; at += PAGE) {
            p[at] = 1;
        }
        p += at;
        ns[i] = (now_ns() - start) / (at / PAGE);
    }
    qsort(ns, TOUCHES, sizeof(*ns), compare);
    say("touch", which, ns[TOUCHES / 2]);
}

/* The best of some: other work can only make it slower. */
static void measure_copy(void *to, const void *from, uint64_t n,
                         const char *which)
{
    double best = 0;
    unsigned i;

    for (i = 0; i < COPIES; i++) {
        double start = now_ns(), speed;

        memcpy(to, from, n);
        speed = n / (double)(1 << 20) / ((now_ns() - start) / 1e9);
        best = speed > best ? speed : best;
    }
    say("copy", which, best);
}

static unsigned char *own_memory(void)
{
    unsigned char *p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        printf("vulkan: no memory of our own\n");
        exit(3);
    }
    /* as a blob's pages are, one by one */
    madvise(p, LARGE, MADV_NOHUGEPAGE);
    return p;
}

/* Guest memory that the host has not given yet, and again */
static unsigned char *touched_memory(void)
{
    unsigned char *p = own_memory();

    measure_touch(p, "own");
    madvise(p, LARGE, MADV_DONTNEED);
    measure_touch(p, "own, again");
    return p;
}

static void measure_pages(void)
{
    unsigned char *own = touched_memory(), *other = own_memory();
    const uint64_t half = LARGE / 2, n = half - SKEW;
    struct memory m;

    memset(other, 2, LARGE);
    measure_copy(own, other + SKEW, n, "own");
    if (!get(&m, LARGE)) {
        say("refused", "large", 0);
        return;
    }
    measure_touch(m.p, "blob");
    measure_copy(m.p, own + SKEW, n, "into the blob");
    measure_copy(own, m.p + SKEW, n, "out of the blob");
    measure_copy(m.p, m.p + half + SKEW, n, "within the blob");
    put(&m);
}

int main(int argc, char **argv)
{
    unsigned turns = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
    int i;

    if (!turns) {
        printf("usage: vk-bench TURNS HELD...\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_device(&gpu);
    choose_type();
    measure_pages();
    for (i = 2; i < argc; i++) {
        measure_held(turns, strtoul(argv[i], NULL, 0), argv[i]);
    }
    return 0;
}
