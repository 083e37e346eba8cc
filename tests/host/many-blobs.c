/*
 * In a guest: many blobs at once, written, read back, and the holes of the
 * window touched, step by step with a program on the host.
 *
 * many-blobs COUNT SIZE TOGGLES [BLOB-ID...]: each step ends with "STEP name"
 * on stdout, and the next one begins when a line arrives on stdin.  The other
 * side finds the blobs by the tags in them and answers with tags of its own.
 * The blobs take the ids given in turns.  TOGGLES is how often the device's
 * memory is taken out of the guest's and put back with all of them mapped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <drm/drm.h>
#include <drm/virtgpu_drm.h>

#define CAPSET_VENUS 4
#define GUEST_TAG 0x47554553542d0000ull
#define HOST_TAG  0x484f53542d2d0000ull
#define WINDOW_MIN (1 << 24)
#define ROUND_MB(n) (((n) + (1 << 20) - 1) >> 20 << 20)

struct blob {
    uint32_t handle;
    volatile uint64_t *map;
};

static int drm;
static char **ids;
static int id_count;

static void fail(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    printf("FAIL ");
    vprintf(format, ap);
    printf(": %s\n", strerror(errno));
    va_end(ap);
    fflush(stdout);
    exit(1);
}

static void step(const char *format, ...)
{
    char line[64];
    va_list ap;

    va_start(ap, format);
    printf("STEP ");
    vprintf(format, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin)) {
        fail("no answer from the host");
    }
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static void open_device(void)
{
    struct drm_virtgpu_context_set_param param = {
        .param = VIRTGPU_CONTEXT_PARAM_CAPSET_ID,
        .value = CAPSET_VENUS,
    };
    struct drm_virtgpu_context_init init = {
        .num_params = 1,
        .ctx_set_params = (uintptr_t)&param,
    };

    drm = open("/dev/dri/card0", O_RDWR);
    if (drm < 0) {
        fail("/dev/dri/card0");
    }
    if (ioctl(drm, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init)) {
        fail("a Venus context");
    }
}

static bool make_blob(struct blob *b, size_t size, size_t nth)
{
    struct drm_virtgpu_resource_create_blob create = {
        .blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
        .blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
        .size = size,
        .blob_id = id_count ? strtoull(ids[nth % id_count], NULL, 0) : 0,
    };
    struct drm_virtgpu_map map = { };
    void *p;

    if (ioctl(drm, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create)) {
        return false;
    }
    b->handle = map.handle = create.bo_handle;
    if (ioctl(drm, DRM_IOCTL_VIRTGPU_MAP, &map)) {
        return false;
    }
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, drm, map.offset);
    if (p == MAP_FAILED) {
        return false;
    }
    b->map = p;
    return true;
}

static void drop_blob(struct blob *b, size_t size)
{
    struct drm_gem_close close_gem = { .handle = b->handle };

    munmap((void *)b->map, size);
    if (ioctl(drm, DRM_IOCTL_GEM_CLOSE, &close_gem)) {
        fail("GEM_CLOSE");
    }
}

/* Where its PCI device is: the virtio device, or its parent */
#define DEVICE "/sys/class/drm/card0/device"

/* The device's largest BAR, whatever its number */
static int open_window(size_t *size)
{
    const char *dir = DEVICE;
    char path[96];
    int best = -1;

    *size = WINDOW_MIN;
    for (int i = 0; i < 6; i++) {
        struct stat st;

        for (int up = 0; up < 2; up++) {
            snprintf(path, sizeof(path), "%s%s/resource%d", dir,
                     up ? "/.." : "", i);
            if (!stat(path, &st) && (size_t)st.st_size >= *size) {
                *size = st.st_size;
                best = i * 2 + up;
            }
        }
    }
    if (best < 0) {
        errno = ENODEV;
        fail("the window's BAR");
    }
    snprintf(path, sizeof(path), "%s%s/resource%d", dir,
             best % 2 ? "/.." : "", best / 2);
    int fd = open(path, O_RDWR);
    if (fd < 0) {
        fail("%s", path);
    }
    return fd;
}

static int open_config(void)
{
    int fd = open(DEVICE "/config", O_RDWR);

    if (fd < 0) {
        fd = open(DEVICE "/../config", O_RDWR);
    }
    if (fd < 0) {
        fail("the device's PCI configuration");
    }
    return fd;
}

/* PCI's command register: bit 1 is the decoding of memory */
static void toggle_memory(int config)
{
    uint16_t on, off;

    if (pread(config, &on, sizeof(on), 4) != sizeof(on)) {
        fail("reading the command register");
    }
    off = on & ~2;
    if (pwrite(config, &off, sizeof(off), 4) != sizeof(off) ||
        pwrite(config, &on, sizeof(on), 4) != sizeof(on)) {
        fail("writing the command register");
    }
}

/* Blobs that do not show what the guest wrote to both ends */
static size_t count_wrong(const struct blob *blobs, size_t count, size_t size,
                          uint64_t round)
{
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++) {
        wrong += blobs[i].map[0] != GUEST_TAG + i ||
                 blobs[i].map[size / 8 - 1] != ~(GUEST_TAG + i) ||
                 (round && blobs[i].map[2] != i + round);
    }
    return wrong;
}

/* Each time all blobs are looked at, and written to. */
static size_t toggle(const struct blob *blobs, size_t count, size_t size,
                     unsigned toggles)
{
    int config = open_config();
    size_t wrong = 0;

    for (unsigned round = 0; round < toggles; round++) {
        wrong += count_wrong(blobs, count, size, round);
        for (size_t i = 0; i < count; i++) {
            blobs[i].map[2] = i + round + 1;
        }
        toggle_memory(config);
    }
    wrong += count_wrong(blobs, count, size, toggles);
    close(config);
    return wrong;
}

/* How many ranges the guest's kernel has mapped write-combined */
static unsigned count_wc(void)
{
    FILE *f = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
    char line[256];
    unsigned n = 0;

    while (f && fgets(line, sizeof(line), f)) {
        n += strstr(line, "write-combining") != NULL;
    }
    if (f) {
        fclose(f);
    }
    return n;
}

/*
 * Only above what the blobs take, as the guest's allocator fills the window
 * from below: one address has one cache type, and here it is uncached.
 */
static unsigned touch_holes(int window, size_t size, size_t used)
{
    unsigned touched = 0;
    uint8_t *p = mmap(NULL, size - used, PROT_READ | PROT_WRITE, MAP_SHARED,
                      window, used);

    if (p == MAP_FAILED) {
        fail("the window's holes");
    }
    for (size_t at = 0; at < size - used; at += 1 << 20) {
        volatile uint64_t *word = (volatile uint64_t *)(p + at);
        uint64_t was = *word;

        *word = was + 1;
        touched++;
    }
    munmap(p, size - used);
    return touched;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000;
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 16384;
    unsigned toggles = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
    struct blob *blobs = calloc(count, sizeof(*blobs));
    size_t window_size, i, wrong = 0;
    int window;
    unsigned wc;
    uint64_t start, made;

    if (argc > 4) {
        ids = argv + 4;
        id_count = argc - 4;
    }
    open_device();
    window = open_window(&window_size);
    step("ready window %zu", window_size);

    wc = count_wc();
    start = now_us();
    for (i = 0; i < count; i++) {
        if (!make_blob(&blobs[i], size, i)) {
            printf("STOPPED at %zu: %s\n", i, strerror(errno));
            count = i;
            break;
        }
        blobs[i].map[0] = GUEST_TAG + i;
        blobs[i].map[size / 8 - 1] = ~(GUEST_TAG + i);
    }
    made = now_us() - start;
    wrong = count_wrong(blobs, count, size, 0);
    step("mapped %zu wrong %zu us %" PRIu64 " wc %u", count, wrong,
         count ? made / count : 0, count_wc() - wc);

    wrong = 0;
    for (i = 0; i < count; i++) {
        wrong += blobs[i].map[1] != HOST_TAG + i;
    }
    step("checked %zu wrong %zu", count, wrong);

    if (toggles) {
        start = now_us();
        wrong = toggle(blobs, count, size, toggles);
        step("toggled %u wrong %zu ms %" PRIu64, toggles, wrong,
             (now_us() - start) / 1000);
    }

    step("touched %u", touch_holes(window, window_size,
                                   ROUND_MB(count * size) + (1 << 20)));

    wrong = 0;
    for (i = 0; i < count; i++) {
        wrong += blobs[i].map[0] != GUEST_TAG + i;
    }
    start = now_us();
    for (i = 0; i < count; i++) {
        drop_blob(&blobs[i], size);
    }
    step("unmapped %zu wrong %zu us %" PRIu64, count, wrong,
         count ? (now_us() - start) / count : 0);

    /* The same places once more: what was there before must not shine on. */
    if (make_blob(&blobs[0], size, 0)) {
        wrong = blobs[0].map[0] != 0;
        drop_blob(&blobs[0], size);
    } else {
        wrong = 1;
    }
    step("again wrong %zu", wrong);
    free(blobs);
    return 0;
}
