/*
 * A small virtio-gpu driver for qtests: commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client-internal.h"

/*
 * One by one
 */

static unsigned put(GPU *gpu, const void *out, size_t len)
{
    return gpu_put(gpu, &(GPUCmd) {
        .out = out, .out_len = len,
        .in_len = sizeof(struct virtio_gpu_ctrl_hdr),
    });
}

uint32_t gpu_send(GPU *gpu, const void *out, size_t len)
{
    return gpu_take(gpu, put(gpu, out, len));
}

static struct virtio_gpu_resource_create_blob
make_create(uint32_t id, ScriptedBlob blob, uint64_t size, uint32_t flags)
{
    return (struct virtio_gpu_resource_create_blob) {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
        .hdr.ctx_id = cpu_to_le32(1),
        .resource_id = cpu_to_le32(id),
        .blob_mem = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_HOST3D),
        .blob_flags = cpu_to_le32(flags),
        .blob_id = cpu_to_le64(scripted_blob_id(blob)),
        .size = cpu_to_le64(size),
    };
}

uint32_t gpu_create_flags(GPU *gpu, uint32_t id, ScriptedBlob blob,
                          uint64_t size, uint32_t flags)
{
    struct virtio_gpu_resource_create_blob cmd =
        make_create(id, blob, size, flags);

    return gpu_send(gpu, &cmd, sizeof(cmd));
}

uint32_t gpu_create(GPU *gpu, uint32_t id, ScriptedBlob blob, uint64_t size)
{
    return gpu_create_flags(gpu, id, blob, size, MAPPABLE);
}

unsigned gpu_put_create(GPU *gpu, uint32_t id, ScriptedBlob blob,
                        uint64_t size)
{
    struct virtio_gpu_resource_create_blob cmd =
        make_create(id, blob, size, MAPPABLE);

    return put(gpu, &cmd, sizeof(cmd));
}

/* A command and, behind it, pages of guest memory, 16 MiB at the most */
static uint32_t run_with_pages(GPU *gpu, const void *cmd, size_t len,
                               uint64_t addr, uint32_t entries)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    g_byte_array_append(out, cmd, len);
    for (uint32_t i = 0; i < entries; i++) {
        struct virtio_gpu_mem_entry entry = {
            .addr = cpu_to_le64(addr + i % 4096 * GPU_PAGE),
            .length = cpu_to_le32(GPU_PAGE),
        };

        g_byte_array_append(out, (uint8_t *)&entry, sizeof(entry));
    }
    return gpu_send(gpu, out->data, out->len);
}

uint32_t gpu_create_guest(GPU *gpu, uint32_t id, uint32_t entries)
{
    struct virtio_gpu_resource_create_blob cmd =
        make_create(id, NO_FD(), entries * GPU_PAGE, MAPPABLE);

    cmd.blob_mem = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_GUEST);
    cmd.nr_entries = cpu_to_le32(entries);
    return run_with_pages(gpu, &cmd, sizeof(cmd), GPU_SCRATCH, entries);
}

uint32_t gpu_create_2d(GPU *gpu, uint32_t id)
{
    struct virtio_gpu_resource_create_2d cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
        .resource_id = cpu_to_le32(id),
        .format = cpu_to_le32(VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM),
        .width = cpu_to_le32(64),
        .height = cpu_to_le32(64),
    };

    return gpu_send(gpu, &cmd, sizeof(cmd));
}

uint32_t gpu_attach_backing(GPU *gpu, uint32_t id, uint64_t addr,
                            uint32_t entries)
{
    struct virtio_gpu_resource_attach_backing cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
        .resource_id = cpu_to_le32(id),
        .nr_entries = cpu_to_le32(entries),
    };

    return run_with_pages(gpu, &cmd, sizeof(cmd), addr, entries);
}

uint32_t gpu_show_texture(GPU *gpu, uint32_t head, uint32_t id,
                          struct virtio_gpu_rect r)
{
    const struct virtio_gpu_set_scanout cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_SET_SCANOUT),
        .r = r,
        .scanout_id = cpu_to_le32(head),
        .resource_id = cpu_to_le32(id),
    };

    return gpu_send(gpu, &cmd, sizeof(cmd));
}

uint32_t gpu_show_blob(GPU *gpu, uint32_t head, uint32_t id, GPUPicture p)
{
    const struct virtio_gpu_set_scanout_blob cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB),
        .r = p.r,
        .scanout_id = cpu_to_le32(head),
        .resource_id = cpu_to_le32(id),
        .width = cpu_to_le32(p.width),
        .height = cpu_to_le32(p.height),
        .format = cpu_to_le32(VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM),
        .strides = { cpu_to_le32(p.stride) },
        .offsets = { cpu_to_le32(p.offset) },
    };

    return gpu_send(gpu, &cmd, sizeof(cmd));
}

unsigned gpu_put_map(GPU *gpu, uint32_t id, uint64_t offset)
{
    const struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
        .resource_id = cpu_to_le32(id),
        .offset = cpu_to_le64(offset),
    };

    return gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = sizeof(cmd),
        .in_len = sizeof(struct virtio_gpu_resp_map_info),
    });
}

uint32_t gpu_map(GPU *gpu, uint32_t id, uint64_t offset, uint32_t *map_info)
{
    unsigned slot = gpu_put_map(gpu, id, offset);
    uint32_t type = gpu_take(gpu, slot);
    const struct virtio_gpu_resp_map_info *reply = gpu_reply(gpu, slot, NULL);

    g_assert_true(type != GRANTED || !reply->padding);
    if (map_info) {
        *map_info = type == GRANTED ? le32_to_cpu(reply->map_info) : 0;
    }
    return type;
}

void gpu_map_new(GPU *gpu, uint32_t id, ScriptedBlob blob, uint64_t size,
                 uint64_t offset)
{
    g_assert_cmphex(gpu_create(gpu, id, blob, size), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, offset, NULL), ==, GRANTED);
}

unsigned gpu_put_fenced(GPU *gpu, uint32_t type, uint32_t id,
                        uint64_t fence_id)
{
    const struct virtio_gpu_resource_unref cmd = {
        .hdr.type = cpu_to_le32(type),
        .hdr.flags = cpu_to_le32(fence_id ? VIRTIO_GPU_FLAG_FENCE : 0),
        .hdr.fence_id = cpu_to_le64(fence_id),
        .resource_id = cpu_to_le32(id),
    };

    return put(gpu, &cmd, sizeof(cmd));
}

unsigned gpu_put_simple(GPU *gpu, uint32_t type, uint32_t id)
{
    return gpu_put_fenced(gpu, type, id, 0);
}

uint32_t gpu_simple(GPU *gpu, uint32_t type, uint32_t id)
{
    return gpu_take(gpu, gpu_put_simple(gpu, type, id));
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
 * Many at once
 */

unsigned gpu_put_shared(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, BUFFER_BUT(.one_buffer = true), GPU_PAGE);
}

unsigned gpu_put_drivers(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, DRIVERS, GPU_PAGE);
}

unsigned gpu_put_map_next(GPU *gpu, uint32_t id)
{
    return gpu_put_map(gpu, id, id * GPU_PAGE);
}

unsigned gpu_put_map_apart(GPU *gpu, uint32_t id)
{
    return gpu_put_map(gpu, id, id * 2 * GPU_PAGE);
}

unsigned gpu_put_unmap(GPU *gpu, uint32_t id)
{
    return gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, id);
}

unsigned gpu_put_unref(GPU *gpu, uint32_t id)
{
    return gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
}

unsigned gpu_count(const uint32_t *replies, unsigned n, uint32_t type)
{
    unsigned i, found = 0;

    for (i = 0; i < n; i++) {
        found += replies[i] == type;
    }
    return found;
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
            replies[done + i] = gpu_answer(gpu, slots[i]);
        }
    }
}

void gpu_batch_all(GPU *gpu, GPUBatch put, uint32_t first, unsigned n,
                   uint32_t answer)
{
    g_autofree uint32_t *replies = g_new(uint32_t, n);

    gpu_batch(gpu, put, first, n, replies);
    g_assert_cmpuint(gpu_count(replies, n, answer), ==, n);
}
