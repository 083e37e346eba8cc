/*
 * The host's side of what the trial's guest does: finds the blobs' memory among
 * QEMU's files, compares what the guest wrote there, and writes an answer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * host-side PID buffer SIZE SEED  for virtgpu-blob, step "written"
 * host-side PID many SIZE         for many-blobs, step "mapped"
 * Both print "found=N wrong=N": blobs found, and words (buffer) or blobs (many)
 * in which another value was found.
 */

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUEST_TAG 0x47554553542d0000ull
#define HOST_TAG  0x484f53542d2d0000ull
#define TAG_MASK  0xffffffffffff0000ull
#define MANY_MAX  65536

static unsigned long found, wrong;
static bool seen[MANY_MAX];

static uint32_t pattern(uint32_t seed, size_t i)
{
    return (seed + i) * 2654435761u;
}

/* The buffer whose first words are the guest's; true if it was this one */
static bool look_buffer(uint32_t *memory, size_t size, uint32_t seed)
{
    size_t i;

    for (i = 0; i < 16; i++) {
        if (memory[i] != pattern(seed, i)) {
            return false;
        }
    }
    for (i = 0; i < size / 4; i++) {
        wrong += memory[i] != pattern(seed, i);
        memory[i] = ~pattern(seed, i);
    }
    found++;
    return true;
}

/* The file may be open more than once. */
static void look_many(uint64_t *memory, size_t size)
{
    uint64_t nth = memory[0] - GUEST_TAG;

    if ((memory[0] & TAG_MASK) != GUEST_TAG || seen[nth]) {
        return;
    }
    seen[nth] = true;
    found++;
    wrong += memory[size / 8 - 1] != ~memory[0];
    memory[1] = HOST_TAG + nth;
}

static bool look(const char *path, char **argv, size_t size)
{
    struct stat st;
    bool last = false;
    void *memory;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (size_t)st.st_size >= size) {
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED) {
            if (!strcmp(argv[2], "buffer")) {
                last = look_buffer(memory, size, strtoul(argv[4], NULL, 0));
            } else {
                look_many(memory, size);
            }
            munmap(memory, size);
        }
    }
    close(fd);
    return last;
}

int main(int argc, char **argv)
{
    char dir[64], path[352], target[64];
    struct dirent *entry;
    size_t size;
    DIR *d;

    if (argc < 4 || (!strcmp(argv[2], "buffer") && argc < 5)) {
        fprintf(stderr, "usage: %s PID buffer SIZE SEED | PID many SIZE\n",
                argv[0]);
        return 2;
    }
    size = strtoul(argv[3], NULL, 0);
    snprintf(dir, sizeof(dir), "/proc/%s/fd", argv[1]);
    d = opendir(dir);
    if (!d || size < 64) {
        perror(dir);
        return 1;
    }
    while ((entry = readdir(d))) {
        ssize_t n;

        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = 0;
        if (!strncmp(target, "/memfd:", 7) && look(path, argv, size)) {
            break;
        }
    }
    closedir(d);
    printf("found=%lu wrong=%lu\n", found, wrong);
    return 0;
}
