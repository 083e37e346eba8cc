/*
 * Scripted renderer: what a test and the renderer tell each other
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A test double behind virglrenderer's interface.  The blob_id of
 * RESOURCE_CREATE_BLOB says how the blob behaves; what happened and what is to
 * happen next is in a file that both map.
 */

#ifndef SCRIPTED_RENDERER_H
#define SCRIPTED_RENDERER_H

#include <stdint.h>
#include <string.h>

/* Environment: the file with struct scripted_shared, made by the test */
#define SCRIPTED_ENV "SCRIPTED_RENDERER"
#define SCRIPTED_MAGIC 0x53637269u

/* How all buffers show in /proc/PID/maps and /proc/PID/fd */
#define SCRIPTED_BUFFER_NAME "scripted-blob"

/*
 * How a blob behaves.  Tests write it as a designated initializer, and what
 * they leave out is as usual; only scripted_blob_id() knows of a blob_id.
 */
enum { BACKING_NONE, BACKING_DMABUF, BACKING_SHM, BACKING_OPAQUE };
enum {
    ANSWER_ENOTTY, ANSWER_INCOHERENT, ANSWER_WC, ANSWER_CACHED, ANSWER_OTHER,
    ANSWER_OTHER_HIGH, ANSWER_EINVAL, ANSWER_EFAULT, ANSWER_EIO,
};
enum { RETRY_EINTR = 1, RETRY_EAGAIN, RETRY_ALWAYS /* EAGAIN */ };
enum {
    EXPORTER_MISSING,       /* it cannot be read */
    EXPORTER_NO_LINE,
    EXPORTER_UDMABUF,
    EXPORTER_SYSTEM,
    EXPORTER_DRM,
    EXPORTER_I915,
    EXPORTER_FORGED,        /* a second exp_name */
    EXPORTER_PREFIX,        /* "udmabuf2" */
    EXPORTER_EMPTY,
    EXPORTER_LONG,
    EXPORTER_HEAP,          /* "system-uncached" */
    EXPORTER_ENDLESS,       /* its line may go on */
    EXPORTER__MAX,
};
enum { ACCESS_READ_ONLY = 1, ACCESS_WRITE_ONLY };
enum { LENGTH_HALF = 1, LENGTH_BYTE_SHORT, LENGTH_NONE /* not known */ };
enum {
    WORD_ERROR, WORD_NONE, WORD_CACHED, WORD_UNCACHED, WORD_WC, WORD_STRAY,
    WORD_ONES,
};
enum {
    POINTER_EINVAL = 1, POINTER_TWICE, POINTER_MISALIGNED, POINTER_ENOMEM,
    POINTER_SHORT, POINTER_NULL, POINTER_EXACT /* size not rounded */
};
enum { MMAP_ENOMEM = 1, MMAP_EINVAL, MMAP_ENODEV };
enum {
    MEMORY_SHARED, MEMORY_DRIVER, MEMORY_PRIVATE, MEMORY_READ_ONLY,
    MEMORY_TWO, /* side by side */
};

/* The order is what a fuzzer's inputs know. */
struct scripted_blob {
    uint64_t backing:2;         /* what export_blob hands out */
    uint64_t answer:4;          /* of DMA_BUF_IOCTL_INFO */
    uint64_t retry:2;           /* ... after SCRIPTED_RETRIES such errors */
    uint64_t exporter:4;        /* its name in the fd's fdinfo */
    uint64_t access:2;          /* of the fd */
    uint64_t length:2;          /* of the buffer */
    uint64_t word:3;            /* the renderer's */
    uint64_t pointer:3;         /* the renderer's own */
    uint64_t mmap:2;            /* how it fails */
    uint64_t create_fails:1;
    uint64_t one_buffer:1;      /* all share one */
    uint64_t info_fails:1;
    uint64_t sealed:1;          /* against seals */
    uint64_t no_seals:1;        /* no memfd at all */
    uint64_t new_export:1;      /* another each time */
    uint64_t gl:1;              /* no word if made before a capset is filled */
    uint64_t unused:7;          /* the lowest is the fuzzer's */
    uint64_t large_blocks:1;    /* of a tmpfs that may have huge pages */
    uint64_t huge_pages:1;      /* on hugetlbfs */
    uint64_t memory:3;          /* the renderer's mapping, for mremap() */
};

#define SCRIPTED_RETRIES 3

static inline uint64_t scripted_blob_id(struct scripted_blob blob)
{
    uint64_t id = 0;

    memcpy(&id, &blob, sizeof(blob));
    return id;
}

static inline struct scripted_blob scripted_blob_of(uint64_t id)
{
    struct scripted_blob blob;

    memcpy(&blob, &id, sizeof(blob));
    return blob;
}

/* What can be made to fail, by struct scripted_fail: mmap() of these kinds, */
#define SCRIPTED_MAP_BUFFER     1  /* a buffer with MAP_FIXED */
#define SCRIPTED_MAP_OTHER      2  /* something else with MAP_FIXED */
#define SCRIPTED_MAP_RESERVE    4  /* PROT_NONE, anywhere or at a hint */
#define SCRIPTED_MAP_STORE      8  /* PROT_NONE with MAP_FIXED */
#define SCRIPTED_MAP_FREE       16 /* a buffer, anywhere */
/* and other calls */
#define SCRIPTED_MEMFD          32 /* memfd_create() */
#define SCRIPTED_FDINFO         64 /* open() of a buffer's fdinfo */
#define SCRIPTED_EXPORT         128 /* an fd from the renderer */
#define SCRIPTED_EVENTFD        256 /* eventfd() */
#define SCRIPTED_SHRINK         512 /* a buffer is truncated before its seal */
#define SCRIPTED_MOVE           65536 /* mremap() to an address */
#define SCRIPTED_MAP_AGAIN      131072 /* mremap() with an old size of 0 */
#define SCRIPTED_GROW           262144 /* mremap() to a larger size */

/* The accelerator pretends to be KVM while a device is realized */
#define SCRIPTED_KVM_PLAIN      1  /* no quirks can be switched off */
#define SCRIPTED_KVM_QUIRK      2  /* the one for guest PAT can */
#define SCRIPTED_KVM_STUCK      3  /* it is offered, but stays on */
#define SCRIPTED_KVM_BROKEN     4  /* asking for them fails */
#define SCRIPTED_KVM_FWB        5  /* FEAT_S2FWB */
#define SCRIPTED_KVM_NO_FWB     6
#define SCRIPTED_KVM_LIAR       7  /* not that, but cacheable PFNMAP */
#define SCRIPTED_KVM_NO_REGS    8  /* no register can be read */
#define SCRIPTED_KVM_SVPBMT     9
#define SCRIPTED_KVM_NO_SVPBMT  10
#define SCRIPTED_KVM_ANSWER     15
#define SCRIPTED_KVM_NO_VCPU    16 /* QEMU has none yet */

/* What the host pretends to be, in uname(), /proc and /sys */
#define SCRIPTED_CPU_AMD        1  /* KVM with nested paging */
#define SCRIPTED_CPU_AMD_NO_NPT 2  /* without */
#define SCRIPTED_CPU_INTEL      3
#define SCRIPTED_CPU_ARM64      4
#define SCRIPTED_CPU_RISCV64    5
#define SCRIPTED_CPU_NO_NAME    6  /* uname() fails */
#define SCRIPTED_CPU_NO_PROC    7  /* x86 without files that say more */
#define SCRIPTED_CPU_HYGON      8  /* as AMD's, said in other ways */
#define SCRIPTED_CPU_NO_VENDOR  9  /* x86 whose maker is not known */
#define SCRIPTED_CPU__MAX       10

/* What /sys/class/drm shows */
#define SCRIPTED_DRM_FOLDER     1  /* what is in struct scripted_shared */
#define SCRIPTED_DRM_NONE       2  /* no such folder */
#define SCRIPTED_DRM_HIDDEN     3  /* it may not be read */

struct scripted_fail {
    uint32_t kinds;
    uint32_t skip;   /* let this many pass first */
    uint32_t count;  /* then fail this many */
    uint32_t error;
};

/*
 * Orders to the watcher, which is in QEMU; each is carried out once, at the
 * next command.  The last ones are for the time when a device is realized.
 */
#define SCRIPTED_WATCH_PIN      6  /* like a driver that pins all memory */
#define SCRIPTED_WATCH_UNPIN    7
#define SCRIPTED_WATCH_ASK      8  /* the manager all that it can answer */
#define SCRIPTED_WATCH_HOLD     9  /* refer to the region at address */
#define SCRIPTED_WATCH_RELEASE  10 /* at once, not with a command */
#define SCRIPTED_WATCH_CONFIDENTIAL 13
#define SCRIPTED_WATCH_VCPU_RESET 14 /* from a vCPU, when told to release */
#define SCRIPTED_WATCH_SLOTS    15 /* like KVM where it looks at mappings */
#define SCRIPTED_WATCH_VCPU_RENEW 16 /* so too, and the queue is set up anew */
#define SCRIPTED_WATCH_USE      17 /* threads use the window, see below */
#define SCRIPTED_WATCH_STRANGE  20 /* the accelerator is another */
#define SCRIPTED_WATCH_PAT_OFF  21 /* it has a property honor-guest-pat */
#define SCRIPTED_WATCH_PAT_ON   22
#define SCRIPTED_WATCH_PAT_AUTO 23
#define SCRIPTED_WATCH_PAT_BLIND 24 /* it cannot be read */

/* What an mmap(MAP_FIXED) that fails in the driver leaves of what was there */
#define SCRIPTED_KERNEL_NOW     0  /* all of it if it is shared memory's */
#define SCRIPTED_KERNEL_OLD     1  /* nothing */
#define SCRIPTED_KERNEL_NEXT    2  /* all of it */

/* What virgl_renderer_resource_map_fixed() does */
#define SCRIPTED_FIXED_NONE     0  /* it does not support that */
#define SCRIPTED_FIXED_GOOD     1
#define SCRIPTED_FIXED_LONG     2  /* maps twice as much */
#define SCRIPTED_FIXED_SHORT    3  /* all but the last page */
#define SCRIPTED_FIXED_HALF     4  /* the same, and says that it failed */
#define SCRIPTED_FIXED_FAILS    5  /* the same, but maps all */
#define SCRIPTED_FIXED_LAZY     6  /* does nothing, and says that it did */
#define SCRIPTED_FIXED_READ     7  /* what cannot be written to */
#define SCRIPTED_FIXED_HOLE     8  /* the same of the second page */
#define SCRIPTED_FIXED__MAX     9

/* What the renderer fails at, as long as it is so ordered */
#define SCRIPTED_REFUSE_FENCE   1  /* virgl_renderer_create_fence() */
#define SCRIPTED_REFUSE_CTX_FENCE 2 /* the same of a context */
#define SCRIPTED_REFUSE_CONTEXT 4
#define SCRIPTED_REFUSE_RESOURCE 8 /* that is not a blob */
#define SCRIPTED_REFUSE_BLOB    16
#define SCRIPTED_REFUSE_START   32

#define SCRIPTED_FDS 65536

struct scripted_shared {
    uint32_t magic;

    /* Orders */
    uint32_t hold_fences;
    struct scripted_fail fail; /* from the device's realization on */
    uint32_t armed;
    uint32_t mute_query;    /* answer ENOTTY without a system call */
    uint32_t kvm;           /* SCRIPTED_KVM_* */
    uint32_t cpu;           /* SCRIPTED_CPU_* */
    uint32_t page_size;     /* the host's, in bytes; 0: as it is */
    uint32_t drm;           /* SCRIPTED_DRM_* */
    char drm_folder[256];   /* read in place of /sys/class/drm */
    uint32_t watch;         /* SCRIPTED_WATCH_* */
    uint32_t kernel;        /* SCRIPTED_KERNEL_* */
    uint32_t map_fixed;     /* SCRIPTED_FIXED_* */
    uint32_t refuse;        /* SCRIPTED_REFUSE_* */
    uint32_t refuse_error;  /* with this errno, 0 for EINVAL */
    uint32_t dead_context;  /* its fences are not done, nor made any more */
    uint32_t memory_error;  /* the next fence's thread meets one */
    uint32_t fewer_capsets; /* 1: without VIRGL2; 2: nor VIRGL */

    /* What happened */
    uint64_t live;
    uint64_t exports;
    uint64_t dups;          /* of exported fds */
    uint64_t closes;        /* of them all */
    uint64_t words;
    uint64_t queries;
    uint64_t bad_queries;   /* wrong param, pad or fd */
    uint64_t names;         /* fdinfo read */
    uint64_t maps;
    uint64_t unmaps;
    uint64_t fixed;         /* buffers mapped at an address of the caller's */
    uint64_t holes;         /* anything else, that can be read */
    uint64_t moves;         /* mremap() to an address */
    uint64_t faults;        /* misuse: see the log on stderr */
    uint64_t resets;
    uint64_t fences;
    uint64_t fences_done;
    uint64_t polls;
    uint64_t fills;         /* capsets that were filled in */
    uint64_t inits;
    uint64_t cleanups;
    uint64_t kvm_enables;   /* of the right quirk */
    uint64_t dontneeds;     /* madvise(): ranges whose contents may go */

    /* What the watcher was told, and sees */
    uint64_t address;       /* guest-physical, from the test */
    uint64_t granularity;
    uint64_t populated;     /* bytes, by replaying or listening */
    uint64_t discarded;
    uint64_t is_populated;  /* the page at address */
    uint64_t is_protected;  /* its region: as vhost-vdpa asks */
    uint64_t is_ram_device;
    uint64_t pin_refused;   /* by what is mapped */
    uint64_t slots;         /* made over the window */
    uint64_t logged;        /* ranges whose dirty pages are logged */

    /* Threads that use the window's first pages, until there are 0 of them */
    uint64_t use_pages;
    uint64_t users;
    uint64_t use_turns;
    uint64_t use_foreign;   /* what did not belong to the page */
    uint64_t use_mapped;    /* what others have mapped meanwhile */
    uint64_t use_landed;    /* ... and found in the window, or replaced */

    /* A buffer's fd in the renderer, by resource id modulo SCRIPTED_FDS */
    int32_t fd[SCRIPTED_FDS];
};

/* The watcher's: carries out the order in @shared */
void scripted_watch(struct scripted_shared *shared);

/* What a page of a new buffer begins with, after the resource's id */
static inline uint64_t scripted_stamp(uint32_t resource_id, uint32_t page)
{
    return ((uint64_t)resource_id << 32 | page) ^ 0x5a5a0000a5a5ull;
}

#endif /* SCRIPTED_RENDERER_H */
