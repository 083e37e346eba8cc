/*
 * A small virtio-gpu driver for qtests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_pci.h"
#include "standard-headers/linux/virtio_ring.h"
#include "virtio-gpu-gl-client.h"

#include <sys/mman.h>

#define RAM_SIZE GPU_SCRATCH_END
#define RING_BASE (16 * GPU_MIB)
#define CURSOR_RING_BASE (RING_BASE + 64 * 1024)
#define SLOT_BASE (18 * GPU_MIB)
#define SLOT_SIZE 8192
#define SLOT_CMD 512
#define SLOT_REPLY 4096
#define LONG_CMD (24 * GPU_MIB)
#define SLOTS_MAX 256
#define PIECES_MAX 15

#define DEVFN (0x10 << 3)
#define MMIO32_BASE 0xd0000000u
#define MMIO64_BASE (512ull << 30)

#define SHM_CAP 8
#define TIMEOUT_US (10 * G_USEC_PER_SEC)

typedef struct GPUBar {
    uint64_t addr;
    uint64_t size;
} GPUBar;

struct GPU {
    QTestState *qts;
    int ram_fd;
    int shared_fd;
    uint8_t *ram;
    struct scripted_shared *shared;

    GPUBar bars[6];
    uint64_t common;
    uint64_t notify;
    uint32_t notify_multiplier;
    uint64_t window;
    uint64_t window_length;

    unsigned size; /* of the control queue */
    uint16_t avail_idx;
    uint16_t used_idx;
    bool busy[SLOTS_MAX];
    bool done[SLOTS_MAX];
    uint32_t reply_len[SLOTS_MAX];
    unsigned next_slot;
};

/*
 * Memory
 */

void *gpu_ram(GPU *gpu, uint64_t addr)
{
    g_assert_cmpuint(addr, <, RAM_SIZE);
    return gpu->ram + addr;
}

static void *new_file(const char *name, size_t size, int *fd)
{
    void *map;

    *fd = memfd_create(name, MFD_CLOEXEC);
    g_assert_cmpint(*fd, >=, 0);
    g_assert_cmpint(ftruncate(*fd, size), ==, 0);
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    g_assert(map != MAP_FAILED);
    return map;
}

static char *path_of(int fd)
{
    return g_strdup_printf("/proc/%d/fd/%d", getpid(), fd);
}

/*
 * PCI
 */

static void config_address(GPU *gpu, unsigned reg)
{
    qtest_outl(gpu->qts, 0xcf8, 0x80000000u | DEVFN << 8 | (reg & ~3u));
}

static uint32_t config_readl(GPU *gpu, unsigned reg)
{
    config_address(gpu, reg);
    return qtest_inl(gpu->qts, 0xcfc);
}

static uint8_t config_readb(GPU *gpu, unsigned reg)
{
    return config_readl(gpu, reg) >> (reg % 4 * 8);
}

static void config_writel(GPU *gpu, unsigned reg, uint32_t value)
{
    config_address(gpu, reg);
    qtest_outl(gpu->qts, 0xcfc, value);
}

/* The second half of a 64-bit register is left out by the caller. */
static bool map_bar(GPU *gpu, unsigned i, uint64_t *next32, uint64_t *next64)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + i * 4;
    uint32_t old = config_readl(gpu, reg);
    bool wide = (old & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
                PCI_BASE_ADDRESS_MEM_TYPE_64;
    uint64_t *next = wide ? next64 : next32;
    uint64_t mask;

    if (old & PCI_BASE_ADDRESS_SPACE_IO) {
        return false;
    }
    config_writel(gpu, reg, UINT32_MAX);
    mask = config_readl(gpu, reg) & ~15u;
    if (wide) {
        config_writel(gpu, reg + 4, UINT32_MAX);
        mask |= (uint64_t)config_readl(gpu, reg + 4) << 32;
    } else {
        mask |= mask ? 0xffffffffull << 32 : 0;
    }
    if (!mask) {
        return false;
    }
    gpu->bars[i].size = -mask;
    gpu->bars[i].addr = ROUND_UP(*next, gpu->bars[i].size);
    *next = gpu->bars[i].addr + gpu->bars[i].size;
    config_writel(gpu, reg, gpu->bars[i].addr);
    if (wide) {
        config_writel(gpu, reg + 4, gpu->bars[i].addr >> 32);
    }
    return wide;
}

static void map_bars(GPU *gpu)
{
    uint64_t next32 = MMIO32_BASE, next64 = MMIO64_BASE;
    unsigned i;

    memset(gpu->bars, 0, sizeof(gpu->bars));
    for (i = 0; i < 6; i++) {
        i += map_bar(gpu, i, &next32, &next64);
    }
    config_writel(gpu, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void read_capability(GPU *gpu, unsigned cap)
{
    unsigned type = config_readb(gpu, cap + 3);
    unsigned bar = config_readb(gpu, cap + 4);
    uint64_t addr = bar < 6 ? gpu->bars[bar].addr : 0;

    addr += config_readl(gpu, cap + 8);
    switch (type) {
    case VIRTIO_PCI_CAP_COMMON_CFG:
        gpu->common = addr;
        break;
    case VIRTIO_PCI_CAP_NOTIFY_CFG:
        gpu->notify = addr;
        gpu->notify_multiplier = config_readl(gpu, cap + 16);
        break;
    case SHM_CAP:
        g_assert_cmpuint(config_readb(gpu, cap + 5), ==,
                         VIRTIO_GPU_SHM_ID_HOST_VISIBLE);
        gpu->window = addr + ((uint64_t)config_readl(gpu, cap + 16) << 32);
        gpu->window_length = config_readl(gpu, cap + 12) |
                             (uint64_t)config_readl(gpu, cap + 20) << 32;
        break;
    default:
        break;
    }
}

static void read_capabilities(GPU *gpu)
{
    unsigned cap = config_readb(gpu, PCI_CAPABILITY_LIST);

    gpu->window = gpu->window_length = 0;
    while (cap) {
        if (config_readb(gpu, cap) == PCI_CAP_ID_VNDR) {
            read_capability(gpu, cap);
        }
        cap = config_readb(gpu, cap + 1);
    }
    g_assert_cmpuint(gpu->common, !=, 0);
    g_assert_cmpuint(gpu->notify, !=, 0);
}

/*
 * The device
 */

static void set_status(GPU *gpu, uint8_t status)
{
    qtest_writeb(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_STATUS, status);
}

static void set_features(GPU *gpu, unsigned half, uint32_t bits)
{
    uint32_t offered;

    qtest_writel(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_DFSELECT, half);
    offered = qtest_readl(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_DF);
    qtest_writel(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_GFSELECT, half);
    qtest_writel(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_GF, bits & offered);
}

static void set_address(GPU *gpu, unsigned reg, uint64_t addr)
{
    qtest_writel(gpu->qts, gpu->common + reg, addr);
    qtest_writel(gpu->qts, gpu->common + reg + 4, addr >> 32);
}

static unsigned setup_queue(GPU *gpu, unsigned index, uint64_t base)
{
    unsigned size;

    qtest_writew(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_Q_SELECT, index);
    size = qtest_readw(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_Q_SIZE);
    size = MIN(size, SLOTS_MAX);
    memset(gpu_ram(gpu, base), 0, 16 * GPU_PAGE);
    qtest_writew(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_Q_SIZE, size);
    set_address(gpu, VIRTIO_PCI_COMMON_Q_DESCLO, base);
    set_address(gpu, VIRTIO_PCI_COMMON_Q_AVAILLO, base + 4 * GPU_PAGE);
    set_address(gpu, VIRTIO_PCI_COMMON_Q_USEDLO, base + 8 * GPU_PAGE);
    qtest_writew(gpu->qts, gpu->common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
    return size;
}

static void setup(GPU *gpu)
{
    set_status(gpu, 0);
    set_status(gpu, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    set_status(gpu, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    set_features(gpu, 0, 1u << VIRTIO_GPU_F_VIRGL |
                 1u << VIRTIO_GPU_F_RESOURCE_BLOB |
                 1u << VIRTIO_GPU_F_CONTEXT_INIT |
                 1u << VIRTIO_RING_F_INDIRECT_DESC);
    set_features(gpu, 1, 1u << (VIRTIO_F_VERSION_1 - 32));
    set_status(gpu, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
               VIRTIO_CONFIG_S_FEATURES_OK);
    gpu->size = setup_queue(gpu, 0, RING_BASE);
    setup_queue(gpu, 1, CURSOR_RING_BASE);
    gpu->avail_idx = gpu->used_idx = 0;
    memset(gpu->busy, 0, sizeof(gpu->busy));
    memset(gpu->done, 0, sizeof(gpu->done));
    set_status(gpu, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
               VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void open_device(GPU *gpu)
{
    map_bars(gpu);
    read_capabilities(gpu);
    setup(gpu);
}

void gpu_reset(GPU *gpu)
{
    setup(gpu);
}

void gpu_system_reset(GPU *gpu)
{
    qtest_system_reset(gpu->qts);
    open_device(gpu);
}

/*
 * The queue
 */

static struct vring_desc *ring_desc(GPU *gpu, unsigned slot)
{
    return (struct vring_desc *)gpu_ram(gpu, RING_BASE) + slot;
}

static struct vring_avail *ring_avail(GPU *gpu)
{
    return gpu_ram(gpu, RING_BASE + 4 * GPU_PAGE);
}

static struct vring_used *ring_used(GPU *gpu)
{
    return gpu_ram(gpu, RING_BASE + 8 * GPU_PAGE);
}

static uint64_t slot_addr(unsigned slot)
{
    return SLOT_BASE + slot * SLOT_SIZE;
}

static unsigned take_slot(GPU *gpu)
{
    unsigned i;

    for (i = 0; i < gpu->size; i++) {
        unsigned slot = gpu->next_slot++ % gpu->size;

        if (!gpu->busy[slot]) {
            gpu->busy[slot] = true;
            gpu->done[slot] = false;
            return slot;
        }
    }
    g_error("no free descriptor");
}

static struct vring_desc make_desc(uint64_t addr, size_t len, unsigned flags)
{
    return (struct vring_desc) {
        .addr = cpu_to_le64(addr),
        .len = cpu_to_le32(len),
        .flags = cpu_to_le16(flags),
    };
}

static unsigned fill_table(struct vring_desc *table, uint64_t out,
                           uint64_t in, const GPUCmd *cmd)
{
    unsigned pieces = MAX(cmd->pieces, 1), n = 0, i;
    size_t step = DIV_ROUND_UP(cmd->out_len, pieces);
    size_t done;

    g_assert_cmpuint(pieces, <=, PIECES_MAX);
    for (done = 0; done < cmd->out_len; done += step) {
        table[n++] = make_desc(out + done, MIN(step, cmd->out_len - done), 0);
    }
    if (cmd->in_len) {
        table[n++] = make_desc(in, cmd->in_len, VRING_DESC_F_WRITE);
    }
    for (i = 0; i + 1 < n; i++) {
        table[i].flags |= cpu_to_le16(VRING_DESC_F_NEXT);
        table[i].next = cpu_to_le16(i + 1);
    }
    return n;
}

unsigned gpu_put(GPU *gpu, const GPUCmd *cmd)
{
    unsigned slot = take_slot(gpu);
    uint64_t base = slot_addr(slot);
    uint64_t out = cmd->out_len > SLOT_REPLY - SLOT_CMD ? LONG_CMD
                                                        : base + SLOT_CMD;
    struct vring_avail *avail = ring_avail(gpu);
    unsigned n;

    memcpy(gpu_ram(gpu, out), cmd->out, cmd->out_len);
    memset(gpu_ram(gpu, base + SLOT_REPLY), 0xee, SLOT_SIZE - SLOT_REPLY);
    n = fill_table(gpu_ram(gpu, base), out, base + SLOT_REPLY, cmd);
    *ring_desc(gpu, slot) = make_desc(base, n * sizeof(struct vring_desc),
                                      VRING_DESC_F_INDIRECT);
    avail->ring[gpu->avail_idx % gpu->size] = cpu_to_le16(slot);
    gpu->avail_idx++;
    __atomic_store_n(&avail->idx, cpu_to_le16(gpu->avail_idx),
                     __ATOMIC_RELEASE);
    return slot;
}

void gpu_kick(GPU *gpu)
{
    qtest_writew(gpu->qts, gpu->notify, 0);
}

static bool collect(GPU *gpu)
{
    struct vring_used *used = ring_used(gpu);
    uint16_t idx = le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE));
    bool any = gpu->used_idx != idx;

    while (gpu->used_idx != idx) {
        struct vring_used_elem *e = &used->ring[gpu->used_idx++ % gpu->size];
        uint32_t slot = le32_to_cpu(e->id);

        g_assert_cmpuint(slot, <, gpu->size);
        g_assert_true(gpu->busy[slot]);
        g_assert_false(gpu->done[slot]);
        gpu->done[slot] = true;
        gpu->reply_len[slot] = le32_to_cpu(e->len);
    }
    return any;
}

bool gpu_is_done(GPU *gpu, unsigned slot)
{
    collect(gpu);
    return gpu->done[slot];
}

void gpu_settle(GPU *gpu)
{
    qtest_clock_step(gpu->qts, 20 * 1000 * 1000);
}

void gpu_wait(GPU *gpu, unsigned slot)
{
    int64_t start = g_get_monotonic_time(), now = start, next = 2000;

    while (!gpu_is_done(gpu, slot)) {
        now = g_get_monotonic_time();
        if (now - start > TIMEOUT_US) {
            g_error("a command is never answered");
        }
        /* Seldom enough that it costs QEMU nothing */
        if (now - start > next) {
            if (!qtest_probe_child(gpu->qts)) {
                g_error("QEMU has ended");
            }
            gpu_settle(gpu);
            next = MIN(next * 2, next + 100000);
        }
    }
}

const void *gpu_reply(GPU *gpu, unsigned slot, uint32_t *len)
{
    g_assert_true(gpu->done[slot]);
    if (len) {
        *len = gpu->reply_len[slot];
    }
    return gpu_ram(gpu, slot_addr(slot) + SLOT_REPLY);
}

void gpu_free(GPU *gpu, unsigned slot)
{
    g_assert_true(gpu->done[slot]);
    gpu->busy[slot] = false;
}

uint32_t gpu_run(GPU *gpu, const void *out, size_t out_len,
                 void *in, size_t in_len)
{
    GPUCmd cmd = { .out = out, .out_len = out_len, .in_len = in_len };
    unsigned slot = gpu_put(gpu, &cmd);
    const struct virtio_gpu_ctrl_hdr *hdr;
    uint32_t type = 0, len;

    gpu_kick(gpu);
    gpu_wait(gpu, slot);
    hdr = gpu_reply(gpu, slot, &len);
    g_assert_cmpuint(len, <=, in_len);
    if (len >= sizeof(*hdr)) {
        type = le32_to_cpu(hdr->type);
    }
    memcpy(in, hdr, in_len);
    gpu_free(gpu, slot);
    return type;
}

/*
 * Commands
 */

static void header(struct virtio_gpu_ctrl_hdr *hdr, uint32_t type)
{
    hdr->type = cpu_to_le32(type);
}

static uint32_t run_nodata(GPU *gpu, const void *out, size_t len)
{
    struct virtio_gpu_ctrl_hdr reply;

    return gpu_run(gpu, out, len, &reply, sizeof(reply));
}

static struct virtio_gpu_resource_create_blob
make_create(uint32_t id, uint64_t blob_id, uint64_t size, uint32_t flags)
{
    struct virtio_gpu_resource_create_blob cmd = {
        .hdr.ctx_id = cpu_to_le32(1),
        .resource_id = cpu_to_le32(id),
        .blob_mem = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_HOST3D),
        .blob_flags = cpu_to_le32(flags),
        .blob_id = cpu_to_le64(blob_id),
        .size = cpu_to_le64(size),
    };

    header(&cmd.hdr, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB);
    return cmd;
}

uint32_t gpu_create_flags(GPU *gpu, uint32_t id, uint64_t blob_id,
                          uint64_t size, uint32_t flags)
{
    struct virtio_gpu_resource_create_blob cmd =
        make_create(id, blob_id, size, flags);

    return run_nodata(gpu, &cmd, sizeof(cmd));
}

uint32_t gpu_create(GPU *gpu, uint32_t id, uint64_t blob_id, uint64_t size)
{
    return gpu_create_flags(gpu, id, blob_id, size, MAPPABLE);
}

unsigned gpu_put_create(GPU *gpu, uint32_t id, uint64_t blob_id,
                        uint64_t size)
{
    struct virtio_gpu_resource_create_blob cmd =
        make_create(id, blob_id, size, MAPPABLE);

    return gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = sizeof(cmd),
        .in_len = sizeof(struct virtio_gpu_ctrl_hdr),
    });
}

uint32_t gpu_create_guest(GPU *gpu, uint32_t id, uint32_t entries)
{
    struct virtio_gpu_resource_create_blob cmd =
        make_create(id, 0, entries * GPU_PAGE, MAPPABLE);
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint32_t i;

    cmd.blob_mem = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_GUEST);
    cmd.nr_entries = cpu_to_le32(entries);
    g_byte_array_append(out, (uint8_t *)&cmd, sizeof(cmd));
    for (i = 0; i < entries; i++) {
        struct virtio_gpu_mem_entry entry = {
            .addr = cpu_to_le64(GPU_SCRATCH + i % 4096 * GPU_PAGE),
            .length = cpu_to_le32(GPU_PAGE),
        };

        g_byte_array_append(out, (uint8_t *)&entry, sizeof(entry));
    }
    return run_nodata(gpu, out->data, out->len);
}

static struct virtio_gpu_resource_map_blob make_map(uint32_t id,
                                                    uint64_t offset)
{
    struct virtio_gpu_resource_map_blob cmd = {
        .resource_id = cpu_to_le32(id),
        .offset = cpu_to_le64(offset),
    };

    header(&cmd.hdr, VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB);
    return cmd;
}

uint32_t gpu_map(GPU *gpu, uint32_t id, uint64_t offset, uint32_t *map_info)
{
    struct virtio_gpu_resource_map_blob cmd = make_map(id, offset);
    struct virtio_gpu_resp_map_info reply;
    uint32_t type = gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply));

    if (type == VIRTIO_GPU_RESP_OK_MAP_INFO) {
        g_assert_cmpuint(reply.padding, ==, 0);
    }
    if (map_info) {
        *map_info = type == VIRTIO_GPU_RESP_OK_MAP_INFO
                  ? le32_to_cpu(reply.map_info) : 0;
    }
    return type;
}

unsigned gpu_put_map(GPU *gpu, uint32_t id, uint64_t offset)
{
    struct virtio_gpu_resource_map_blob cmd = make_map(id, offset);

    return gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = sizeof(cmd),
        .in_len = sizeof(struct virtio_gpu_resp_map_info),
    });
}

static struct virtio_gpu_resource_unref make_simple(uint32_t type, uint32_t id)
{
    struct virtio_gpu_resource_unref cmd = { .resource_id = cpu_to_le32(id) };

    header(&cmd.hdr, type);
    return cmd;
}

uint32_t gpu_simple(GPU *gpu, uint32_t type, uint32_t id)
{
    struct virtio_gpu_resource_unref cmd = make_simple(type, id);

    return run_nodata(gpu, &cmd, sizeof(cmd));
}

unsigned gpu_put_fenced(GPU *gpu, uint32_t type, uint32_t id,
                        uint64_t fence_id)
{
    struct virtio_gpu_resource_unref cmd = make_simple(type, id);

    if (fence_id) {
        cmd.hdr.flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE);
        cmd.hdr.fence_id = cpu_to_le64(fence_id);
    }
    return gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = sizeof(cmd),
        .in_len = sizeof(struct virtio_gpu_ctrl_hdr),
    });
}

unsigned gpu_put_simple(GPU *gpu, uint32_t type, uint32_t id)
{
    return gpu_put_fenced(gpu, type, id, 0);
}

uint32_t gpu_unmap(GPU *gpu, uint32_t id)
{
    return gpu_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, id);
}

uint32_t gpu_unref(GPU *gpu, uint32_t id)
{
    return gpu_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
}

/*
 * What is in the window and in the buffers
 */

uint64_t gpu_read(GPU *gpu, uint64_t offset)
{
    return qtest_readq(gpu->qts, gpu->window + offset);
}

void gpu_write(GPU *gpu, uint64_t offset, uint64_t value)
{
    qtest_writeq(gpu->qts, gpu->window + offset, value);
}

static int open_buffer(GPU *gpu, uint32_t id)
{
    int32_t fd = gpu->shared->fd[id % SCRIPTED_FDS];
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d",
                                            (int)qtest_pid(gpu->qts), fd);
    int copy = open(path, O_RDWR | O_CLOEXEC);

    g_assert_cmpint(copy, >=, 0);
    return copy;
}

uint64_t gpu_buffer_read(GPU *gpu, uint32_t id, uint64_t offset)
{
    int fd = open_buffer(gpu, id);
    uint64_t value = 0;

    g_assert_cmpint(pread(fd, &value, sizeof(value), offset), >=, 0);
    close(fd);
    return value;
}

void gpu_buffer_write(GPU *gpu, uint32_t id, uint64_t offset, uint64_t value)
{
    int fd = open_buffer(gpu, id);

    g_assert_cmpint(pwrite(fd, &value, sizeof(value), offset), ==,
                    sizeof(value));
    close(fd);
}

void gpu_watch(GPU *gpu, uint32_t order, uint64_t offset)
{
    gpu->shared->address = gpu->window + offset;
    gpu->shared->watch = order;
    /* A command that does nothing */
    gpu_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0);
    g_assert_cmpuint(gpu->shared->watch, ==, 0);
}

void gpu_release(GPU *gpu)
{
    gpu->shared->watch = SCRIPTED_WATCH_RELEASE;
    while (__atomic_load_n(&gpu->shared->watch, __ATOMIC_ACQUIRE)) {
        g_usleep(500);
    }
}

/*
 * What QEMU has
 */

static char *proc_text(GPU *gpu, const char *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s",
                                            (int)qtest_pid(gpu->qts), file);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

unsigned gpu_count_maps(GPU *gpu, const char *text)
{
    g_autofree char *maps = proc_text(gpu, "maps");
    const char *p = maps;
    unsigned n = 0;

    while ((p = strstr(p, text))) {
        p += strlen(text);
        n++;
    }
    return n;
}

unsigned gpu_count_fds(GPU *gpu, const char *text)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd",
                                            (int)qtest_pid(gpu->qts));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(path, name, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);

        n += target && strstr(target, text);
    }
    return n;
}

uint64_t gpu_status_kib(GPU *gpu, const char *what)
{
    g_autofree char *status = proc_text(gpu, "status");
    char *line = strstr(status, what);

    g_assert_nonnull(line);
    return g_ascii_strtoull(line + strlen(what) + 1, NULL, 10);
}

QObject *gpu_property(GPU *gpu, const char *name)
{
    QDict *reply = qtest_qmp(gpu->qts, "{ 'execute': 'qom-get', 'arguments':"
                             " { 'path': '/machine/peripheral/gpu/"
                             "virtio-backend', 'property': %s } }", name);
    QObject *value = qdict_get(reply, "return");

    qobject_ref(value);
    qobject_unref(reply);
    return value;
}

static uint64_t get_stat(GPU *gpu, const char *group, const char *name)
{
    QObject *value = gpu_property(gpu, "blob-map-stats");
    QDict *dict = qobject_to(QDict, value);
    uint64_t n;

    g_assert_nonnull(dict);
    if (group) {
        dict = qdict_get_qdict(dict, group);
    }
    g_assert_true(qdict_haskey(dict, name));
    n = qdict_get_int(dict, name);
    qobject_unref(value);
    return n;
}

uint64_t gpu_stat(GPU *gpu, const char *name)
{
    return get_stat(gpu, NULL, name);
}

uint64_t gpu_refused(GPU *gpu, const char *reason)
{
    return get_stat(gpu, "refused", reason);
}

/* What goes by RCU takes its time. */
static void wait_for_maps(GPU *gpu)
{
    unsigned i;

    for (i = 0; i < 500 && gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME); i++) {
        g_usleep(10000);
    }
}

void gpu_check_nothing_left(GPU *gpu)
{
    const struct scripted_shared *s = gpu->shared;

    gpu_settle(gpu);
    wait_for_maps(gpu);
    g_assert_cmpuint(s->exports, ==, s->closes);
    g_assert_cmpuint(s->maps, ==, s->unmaps);
    g_assert_cmpuint(s->live, ==, 0);
    g_assert_cmpuint(s->faults, ==, 0);
    g_assert_cmpuint(s->bad_queries, ==, 0);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    g_assert_cmpuint(gpu_stat(gpu, "maps"), ==, gpu_stat(gpu, "unmaps"));
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    g_assert_cmpuint(gpu_count_fds(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
}

void gpu_batch(GPU *gpu, GPUBatch put, uint32_t first, unsigned n,
               uint32_t *replies)
{
    unsigned slots[GPU_BATCH], done, i;

    for (done = 0; done < n; done += i) {
        for (i = 0; i < GPU_BATCH && done + i < n; i++) {
            slots[i] = put(gpu, first + done + i);
        }
        gpu_kick(gpu);
        for (i = 0; i < GPU_BATCH && done + i < n; i++) {
            const struct virtio_gpu_ctrl_hdr *hdr;

            gpu_wait(gpu, slots[i]);
            hdr = gpu_reply(gpu, slots[i], NULL);
            replies[done + i] = le32_to_cpu(hdr->type);
            gpu_free(gpu, slots[i]);
        }
    }
}

/*
 * Life
 */

QTestState *gpu_qts(GPU *gpu)
{
    return gpu->qts;
}

struct scripted_shared *gpu_shared(GPU *gpu)
{
    return gpu->shared;
}

uint64_t gpu_window(GPU *gpu)
{
    return gpu->window;
}

uint64_t gpu_window_length(GPU *gpu)
{
    return gpu->window_length;
}

static char *device_line(const GPUConfig *c)
{
    GString *s = g_string_new(NULL);

    g_string_append_printf(s, "%s,id=gpu,blob=on",
                           c->device ? c->device : "virtio-gpu-gl-pci");
    if (!c->machine) {
        g_string_append(s, ",addr=10.0");
    }
    if (c->hostmem) {
        g_string_append_printf(s, ",hostmem=%" PRIu64, c->hostmem);
    }
    if (c->policy) {
        g_string_append_printf(s, ",map-policy=%s", c->policy);
    }
    g_string_append(s, c->props ? c->props : "");
    return g_string_free(s, false);
}

/* Next to this program unless SCRIPTED_RENDERER_LIB says otherwise */
static char *renderer_path(void)
{
    const char *path = g_getenv("SCRIPTED_RENDERER_LIB");
    g_autofree char *self = NULL;
    g_autofree char *dir = NULL;

    if (path) {
        return g_strdup(path);
    }
    self = g_file_read_link("/proc/self/exe", NULL);
    dir = g_path_get_dirname(self);
    return g_build_filename(dir, "renderer", "libscripted-renderer.so", NULL);
}

static void set_environment(GPU *gpu)
{
    g_autofree char *renderer = renderer_path();
    g_autofree char *shared = path_of(gpu->shared_fd);

    if (!g_file_test(renderer, G_FILE_TEST_EXISTS)) {
        g_error("%s is not there: set SCRIPTED_RENDERER_LIB", renderer);
    }
    g_setenv("LD_PRELOAD", renderer, true);
    g_setenv(SCRIPTED_ENV, shared, true);
    g_setenv("SDL_VIDEODRIVER", "offscreen", true);
    /* llvmpipe keeps the surface of each reset; this one does not. */
    g_setenv("GALLIUM_DRIVER", "softpipe", true);
    if (!g_getenv("XDG_RUNTIME_DIR")) {
        g_setenv("XDG_RUNTIME_DIR", g_get_tmp_dir(), true);
    }
}

static void clear_environment(void)
{
    g_unsetenv("LD_PRELOAD");
    g_unsetenv(SCRIPTED_ENV);
}

/* What QEMU is started with, but for what the qtest protocol needs */
static char *arguments(GPU *gpu, const GPUConfig *config)
{
    g_autofree char *ram = path_of(gpu->ram_fd);
    g_autofree char *device = device_line(config);

    return g_strdup_printf("-machine %s,memory-backend=ram -nodefaults "
                           "-m %" PRIu64 " -object memory-backend-file,id=ram,"
                           "size=%" PRIu64 ",share=on,mem-path=%s "
                           "-display sdl,gl=on -device %s %s",
                           config->machine ? config->machine : "pc",
                           (uint64_t)(RAM_SIZE / GPU_MIB), (uint64_t)RAM_SIZE,
                           ram, device, config->args ? config->args : "");
}

static GPU *new_gpu(const GPUConfig *config)
{
    GPU *gpu = g_new0(GPU, 1);

    gpu->ram = new_file("qtest-ram", RAM_SIZE, &gpu->ram_fd);
    gpu->shared = new_file("qtest-scripted", sizeof(*gpu->shared),
                           &gpu->shared_fd);
    gpu->shared->magic = SCRIPTED_MAGIC;
    gpu->shared->fail = config->fail;
    gpu->shared->kvm = config->kvm;
    gpu->shared->watch = config->watch;
    return gpu;
}

static void delete_gpu(GPU *gpu)
{
    munmap(gpu->ram, RAM_SIZE);
    munmap(gpu->shared, sizeof(*gpu->shared));
    close(gpu->ram_fd);
    close(gpu->shared_fd);
    g_free(gpu);
}

/* QEMU's messages go to a file while it is started. */
static QTestState *start_logged(const char *args, const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int saved = dup(STDERR_FILENO);
    QTestState *qts;

    g_assert_cmpint(fd, >=, 0);
    dup2(fd, STDERR_FILENO);
    qts = qtest_init(args);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    return qts;
}

GPU *gpu_start(const GPUConfig *config)
{
    GPU *gpu = new_gpu(config);
    g_autofree char *args = arguments(gpu, config);

    set_environment(gpu);
    gpu->qts = config->log ? start_logged(args, config->log)
                           : qtest_init(args);
    clear_environment();
    open_device(gpu);
    return gpu;
}

int gpu_try(const GPUConfig *config, char **text)
{
    GPU *gpu = new_gpu(config);
    g_autofree char *args = arguments(gpu, config);
    g_autofree char *command = g_strdup_printf(
        "echo quit | timeout 20 %s -accel qtest -monitor stdio %s 2>&1",
        g_getenv("QTEST_QEMU_BINARY"), args);
    const char *argv[] = { "sh", "-c", command, NULL };
    int status;

    set_environment(gpu);
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH,
                               NULL, NULL, text, NULL, &status, NULL));
    clear_environment();
    delete_gpu(gpu);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void gpu_stop(GPU *gpu)
{
    qtest_quit(gpu->qts);
    delete_gpu(gpu);
}
