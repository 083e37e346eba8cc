/*
 * A fuzzer's target; without a fuzzer, the replay of what one found
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A target is a file with LLVMFuzzerTestOneInput(), which ends the process
 * when a rule is broken.  Inputs are bytes, of which each says something: none
 * is invalid.  What libFuzzer found worth keeping is the corpus, a line of
 * hexadecimal digits for each input.
 */

#ifndef VIRTIO_GPU_BLOB_FUZZ_H
#define VIRTIO_GPU_BLOB_FUZZ_H

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/**
 * FuzzInput - what is left of an input
 * @data: the next byte
 * @size: bytes
 */
typedef struct FuzzInput {
    const uint8_t *data;
    size_t size;
} FuzzInput;

/* The next byte; 0 at the end */
static inline uint8_t fuzz_byte(FuzzInput *in)
{
    if (!in->size) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

static inline uint64_t fuzz_bytes(FuzzInput *in, unsigned n)
{
    uint64_t value = 0;

    while (n--) {
        value = value << 8 | fuzz_byte(in);
    }
    return value;
}

#ifndef VIRTIO_GPU_BLOB_FUZZER

#include <malloc.h>

static inline void fuzz_replay_line(const char *line)
{
    size_t n = strlen(line) / 2, i;
    g_autofree uint8_t *data = g_malloc(n);

    for (i = 0; i < n; i++) {
        data[i] = g_ascii_xdigit_value(line[2 * i]) << 4 |
                  g_ascii_xdigit_value(line[2 * i + 1]);
    }
    LLVMFuzzerTestOneInput(data, n);
}

static inline void fuzz_replay_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    LLVMFuzzerTestOneInput((uint8_t *)data, size);
}

/* What malloc() gives away for good, after the first time */
#define FUZZ_TIMES 20
#define FUZZ_GROWTH_MAX (32 * 1024)

static inline void fuzz_replay_corpus(gconstpointer data)
{
    const char *const *line;
    size_t first = 0, i;

    for (i = 0; i < FUZZ_TIMES; i++) {
        for (line = data; *line; line++) {
            fuzz_replay_line(*line);
        }
        first = first ? first : mallinfo2().uordblks;
    }
    g_assert_cmpuint(mallinfo2().uordblks, <, first + FUZZ_GROWTH_MAX);
}

/* What main() does: the corpus, up to NULL, or the files that arguments name */
static inline int fuzz_replay(int argc, char **argv, const char *name,
                              const char *const *corpus)
{
    int i;

    if (argc > 1 && argv[1][0] != '-') {
        for (i = 1; i < argc; i++) {
            fuzz_replay_file(argv[i]);
        }
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func(name, corpus, fuzz_replay_corpus);
    return g_test_run();
}

#endif /* VIRTIO_GPU_BLOB_FUZZER */

#endif /* VIRTIO_GPU_BLOB_FUZZ_H */
