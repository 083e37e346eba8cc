/*
 * qtest for virtio-gpu-gl: random commands against a model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Valid and hostile sequences, made from a seed, are sent to the device, and
 * buffers go under it at any time; a small model says what a guest must get
 * and see.  On a mismatch the sequence is shortened as long as it still fails.
 *
 * SOAK_COMMANDS and SOAK_SEED are numbers; SOAK_MODEL_IS_WRONG=1 makes the
 * model forget about overlaps, to see that a mismatch is found.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-soak.h"

#include <sys/wait.h>

/*
 * What it gets
 */

static unsigned put_map(GPU *gpu, const Op *op)
{
    struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
        .hdr.flags = cpu_to_le32(op->fenced ? VIRTIO_GPU_FLAG_FENCE : 0),
        .hdr.fence_id = cpu_to_le64(1),
        .resource_id = cpu_to_le32(op->id),
        .offset = cpu_to_le64(op->offset),
    };

    return gpu_put(gpu, &(GPUCmd) {
        .out = &cmd,
        .out_len = op->kind == MAP_SHORT ? op->len : sizeof(cmd),
        .in_len = op->kind == MAP_SHORT_REPLY
                ? op->len : sizeof(struct virtio_gpu_resp_map_info),
        .pieces = op->page % 4,
    });
}

static unsigned put_create(GPU *gpu, const Op *op)
{
    struct {
        struct virtio_gpu_resource_create_blob cmd;
        struct virtio_gpu_mem_entry entry;
    } QEMU_PACKED c = {
        .cmd.hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
        .cmd.hdr.flags = cpu_to_le32(op->fenced ? VIRTIO_GPU_FLAG_FENCE : 0),
        .cmd.hdr.fence_id = cpu_to_le64(1),
        .cmd.resource_id = cpu_to_le32(op->id),
        .entry.addr = cpu_to_le64(GPU_SCRATCH),
        .entry.length = cpu_to_le32(GPU_PAGE),
    };
    bool guest = op->kind == CREATE_GUEST;

    if (guest) {
        c.cmd.blob_mem = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_GUEST);
        c.cmd.blob_flags = cpu_to_le32(MAPPABLE);
        c.cmd.size = cpu_to_le64(GPU_PAGE);
        c.cmd.nr_entries = cpu_to_le32(1);
    } else {
        c.cmd.blob_mem = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_HOST3D);
        c.cmd.blob_flags = cpu_to_le32(op->mappable ? MAPPABLE : 0);
        c.cmd.blob_id = cpu_to_le64(soak_blob_type(op->type)->blob_id);
        c.cmd.size = cpu_to_le64(op->size);
    }
    return gpu_put(gpu, &(GPUCmd) {
        .out = &c, .out_len = guest ? sizeof(c) : sizeof(c.cmd), .in_len = 24,
    });
}

static unsigned put_op(GPU *gpu, const Op *op)
{
    switch (op->kind) {
    case CREATE:
    case CREATE_GUEST:
        return put_create(gpu, op);
    case UNMAP:
    case UNREF:
        return gpu_put_fenced(gpu, op->kind == UNMAP
                              ? VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB
                              : VIRTIO_GPU_CMD_RESOURCE_UNREF,
                              op->id, op->fenced);
    default:
        return put_map(gpu, op);
    }
}

static bool check_answer(GPU *gpu, unsigned slot, Answer wanted)
{
    const struct virtio_gpu_resp_map_info *reply;
    uint32_t type, map_info = 0;

    gpu_wait(gpu, slot);
    reply = gpu_reply(gpu, slot, NULL);
    type = le32_to_cpu(reply->hdr.type);
    if (type == GRANTED) {
        map_info = le32_to_cpu(reply->map_info);
    }
    gpu_free(gpu, slot);
    if (type == wanted.type && map_info == wanted.map_info) {
        return true;
    }
    fprintf(stderr, "answer 0x%x map_info %u, not 0x%x map_info %u\n",
            type, map_info, wanted.type, wanted.map_info);
    return false;
}

static bool is_stamp(uint64_t value)
{
    uint32_t id = (value ^ scripted_stamp(0, 0)) >> 32;

    return id && id <= SOAK_IDS;
}

static bool check_page(GPU *gpu, const Model *m, unsigned page)
{
    uint32_t id = m->owner[page];
    const Blob *b = &m->blobs[id];
    uint64_t data[2], index = page - b->first;

    qtest_memread(gpu_qts(gpu), gpu_window(gpu) + page * GPU_PAGE, data,
                  sizeof(data));
    /* What is behind a buffer that is gone is nobody's, others' least of all */
    if (b->vanished && !is_stamp(data[0])) {
        return true;
    }
    if (id ? data[0] == scripted_stamp(id, index) &&
             data[1] == b->written[index] : !is_stamp(data[0])) {
        return true;
    }
    fprintf(stderr, "page %u shows %" PRIx64 " %" PRIx64 ", not blob %u's\n",
            page, data[0], data[1], id);
    return false;
}

static void do_write(GPU *gpu, Model *m, const Op *op)
{
    unsigned page = op->page;
    uint32_t id = m->owner[page];
    uint64_t value = 0x1000000 + op->offset;

    gpu_write(gpu, page * GPU_PAGE + 8, value);
    if (id) {
        m->blobs[id].written[page - m->blobs[id].first] = value;
    }
}

static void do_vanish(GPU *gpu, Model *m, const Op *op)
{
    if (soak_model_vanish(m, op->id)) {
        gpu_buffer_truncate(gpu, op->id, 0);
    }
}

static void do_reset(GPU *gpu, Model *m)
{
    bool wrong = m->wrong;

    gpu_reset(gpu);
    *m = (Model) { .wrong = wrong };
}

static bool run_group(GPU *gpu, Model *m, const Op *ops, unsigned n)
{
    unsigned slots[SOAK_GROUP_MAX], i;
    Answer wanted[SOAK_GROUP_MAX];
    bool good = true;

    for (i = 0; i < n; i++) {
        Op op = ops[i];

        soak_model_complete(m, &op);
        slots[i] = put_op(gpu, &op);
        wanted[i] = soak_model_run(m, &op);
    }
    gpu_kick(gpu);
    for (i = 0; i < n; i++) {
        good = check_answer(gpu, slots[i], wanted[i]) && good;
    }
    for (i = 0; good && i < n; i++) {
        good = check_page(gpu, m, ops[i].page);
    }
    return good;
}

static bool is_alone(const Op *op)
{
    return op->kind == RESET || op->kind == WRITE || op->kind == VANISH;
}

static unsigned group_at(const Op *ops, unsigned n)
{
    unsigned i;

    for (i = 0; i < n && i < SOAK_GROUP_MAX && !is_alone(&ops[i]); i++) {
        if (ops[i].last) {
            return i + 1;
        }
    }
    return i;
}

static bool check_all_pages(GPU *gpu, const Model *m)
{
    unsigned page;

    for (page = 0; page < SOAK_WINDOW_PAGES; page++) {
        if (!check_page(gpu, m, page)) {
            return false;
        }
    }
    return true;
}

static bool run_ops(GPU *gpu, const Op *ops, unsigned n)
{
    Model m = { .wrong = g_getenv("SOAK_MODEL_IS_WRONG") };
    unsigned done, step, said = 0;

    for (done = 0; done < n; done += step) {
        if (ops[done].kind == RESET) {
            do_reset(gpu, &m);
            step = 1;
        } else if (ops[done].kind == WRITE) {
            do_write(gpu, &m, &ops[done]);
            step = 1;
        } else if (ops[done].kind == VANISH) {
            do_vanish(gpu, &m, &ops[done]);
            step = 1;
        } else {
            step = group_at(ops + done, n - done);
            if (!run_group(gpu, &m, ops + done, step)) {
                return false;
            }
        }
        if (done / 4096 != (done + step) / 4096 && !check_all_pages(gpu, &m)) {
            return false;
        }
        if (done / 100000 != said) {
            said = done / 100000;
            g_test_message("%u commands", done);
        }
    }
    return check_all_pages(gpu, &m);
}

/*
 * Runs, each in a process of its own: QEMU may die, too
 */

static bool run_apart(const Op *ops, unsigned n, bool quiet)
{
    pid_t pid = fork();
    int status;

    g_assert_cmpint(pid, >=, 0);
    if (!pid) {
        GPU *gpu;

        if (quiet) {
            int null = open("/dev/null", O_WRONLY);

            dup2(null, STDOUT_FILENO);
            dup2(null, STDERR_FILENO);
        }
        gpu = gpu_start(&(GPUConfig) {
            .hostmem = SOAK_WINDOW, .log = "/dev/null",
        });
        if (!run_ops(gpu, ops, n)) {
            _exit(1);
        }
        gpu_reset(gpu);
        gpu_check_nothing_left(gpu);
        gpu_stop(gpu);
        fflush(NULL);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Leave out what can be left out, in ever smaller pieces. */
static unsigned shorten(Op *ops, unsigned n)
{
    g_autofree Op *less = g_new(Op, n);
    unsigned piece, at, tries = 0;

    for (piece = MAX(n / 2, 1); piece && tries < 400; piece /= 2) {
        for (at = 0; at < n && tries < 400;) {
            unsigned len = MIN(piece, n - at);

            memcpy(less, ops, at * sizeof(Op));
            memcpy(less + at, ops + at + len, (n - at - len) * sizeof(Op));
            tries++;
            if (n > len && !run_apart(less, n - len, true)) {
                n -= len;
                memcpy(ops, less, n * sizeof(Op));
            } else {
                at += len;
            }
        }
    }
    return n;
}

static unsigned number(const char *name, unsigned otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void test_soak(void)
{
    unsigned n = number("SOAK_COMMANDS", 20000), i;
    unsigned seed = number("SOAK_SEED", 1);
    g_autofree Op *ops = g_new(Op, n);
    GRand *rand = g_rand_new_with_seed(seed);

    for (i = 0; i < n; i++) {
        ops[i] = soak_any_op(rand);
    }
    g_rand_free(rand);
    g_test_message("%u commands, seed %u", n, seed);
    if (run_apart(ops, n, false)) {
        return;
    }
    fprintf(stderr, "seed %u fails; looking for a shorter sequence\n", seed);
    n = shorten(ops, n);
    fprintf(stderr, "%u commands that fail:\n", n);
    for (i = 0; i < n; i++) {
        soak_print_op(&ops[i]);
    }
    run_apart(ops, n, false);
    g_test_fail();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/virtio-gpu-gl/soak", test_soak);
    return g_test_run();
}
