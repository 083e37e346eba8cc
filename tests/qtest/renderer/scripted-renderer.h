/*
 * Scripted renderer: what a test and the renderer tell each other
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A test double behind virglrenderer's interface.  The blob_id of
 * RESOURCE_CREATE_BLOB says, bit field by bit field, how the blob behaves;
 * what happened and what is to happen next is in a file that both map.
 */

#ifndef SCRIPTED_RENDERER_H
#define SCRIPTED_RENDERER_H

#include <stdint.h>

/* Environment: the file with struct scripted_shared, made by the test */
#define SCRIPTED_ENV "SCRIPTED_RENDERER"
#define SCRIPTED_MAGIC 0x53637269u

/* How all buffers show in /proc/PID/maps and /proc/PID/fd */
#define SCRIPTED_BUFFER_NAME "scripted-blob"

#define SCRIPTED_FIELD(shift, value) ((uint64_t)(value) << (shift))
#define SCRIPTED_GET(id, shift, mask) (((id) >> (shift)) & (mask))

/* What export_blob hands out */
#define SCRIPTED_NONE           SCRIPTED_FIELD(0, 0)
#define SCRIPTED_DMABUF         SCRIPTED_FIELD(0, 1)
#define SCRIPTED_SHM            SCRIPTED_FIELD(0, 2)
#define SCRIPTED_OPAQUE         SCRIPTED_FIELD(0, 3)
#define SCRIPTED_BACKING(id)    SCRIPTED_GET(id, 0, 3)

/* What DMA_BUF_IOCTL_INFO answers */
#define SCRIPTED_ENOTTY         SCRIPTED_FIELD(2, 0)
#define SCRIPTED_INCOHERENT     SCRIPTED_FIELD(2, 1)
#define SCRIPTED_WC             SCRIPTED_FIELD(2, 2)
#define SCRIPTED_CACHED         SCRIPTED_FIELD(2, 3)
#define SCRIPTED_OTHER          SCRIPTED_FIELD(2, 4)
#define SCRIPTED_OTHER_HIGH     SCRIPTED_FIELD(2, 5)
#define SCRIPTED_EINVAL         SCRIPTED_FIELD(2, 6)
#define SCRIPTED_EFAULT         SCRIPTED_FIELD(2, 7)
#define SCRIPTED_EIO            SCRIPTED_FIELD(2, 8)
#define SCRIPTED_ANSWER(id)     SCRIPTED_GET(id, 2, 15)

/* ... after this many errors that ask for another try */
#define SCRIPTED_EINTR          SCRIPTED_FIELD(6, 1)
#define SCRIPTED_EAGAIN         SCRIPTED_FIELD(6, 2)
#define SCRIPTED_EAGAIN_ALWAYS  SCRIPTED_FIELD(6, 3)
#define SCRIPTED_RETRY(id)      SCRIPTED_GET(id, 6, 3)
#define SCRIPTED_RETRIES        3

/* The exporter's name in the fd's fdinfo */
#define SCRIPTED_EXP_MISSING    SCRIPTED_FIELD(8, 0) /* no such file */
#define SCRIPTED_EXP_NO_LINE    SCRIPTED_FIELD(8, 1)
#define SCRIPTED_EXP_UDMABUF    SCRIPTED_FIELD(8, 2)
#define SCRIPTED_EXP_SYSTEM     SCRIPTED_FIELD(8, 3)
#define SCRIPTED_EXP_DRM        SCRIPTED_FIELD(8, 4)
#define SCRIPTED_EXP_I915       SCRIPTED_FIELD(8, 5)
#define SCRIPTED_EXP_FORGED     SCRIPTED_FIELD(8, 6) /* a second exp_name */
#define SCRIPTED_EXP_PREFIX     SCRIPTED_FIELD(8, 7) /* "udmabuf2" */
#define SCRIPTED_EXP_EMPTY      SCRIPTED_FIELD(8, 8)
#define SCRIPTED_EXP_LONG       SCRIPTED_FIELD(8, 9)
#define SCRIPTED_EXP_HEAP       SCRIPTED_FIELD(8, 10) /* "system-uncached" */
#define SCRIPTED_EXP(id)        SCRIPTED_GET(id, 8, 15)
#define SCRIPTED_EXP_ENDLESS    SCRIPTED_FIELD(8, 11) /* its line may go on */
#define SCRIPTED_EXP__MAX       12

/* What is wrong with the fd */
#define SCRIPTED_READ_ONLY      SCRIPTED_FIELD(12, 1)
#define SCRIPTED_WRITE_ONLY     SCRIPTED_FIELD(12, 2)
#define SCRIPTED_ACCESS(id)     SCRIPTED_GET(id, 12, 3)
#define SCRIPTED_HALF           SCRIPTED_FIELD(14, 1)
#define SCRIPTED_BYTE_SHORT     SCRIPTED_FIELD(14, 2)
#define SCRIPTED_NO_LENGTH      SCRIPTED_FIELD(14, 3) /* lseek() fails */
#define SCRIPTED_LENGTH(id)     SCRIPTED_GET(id, 14, 3)

/* The renderer's word */
#define SCRIPTED_WORD_ERROR     SCRIPTED_FIELD(16, 0)
#define SCRIPTED_WORD_NONE      SCRIPTED_FIELD(16, 1)
#define SCRIPTED_WORD_CACHED    SCRIPTED_FIELD(16, 2)
#define SCRIPTED_WORD_UNCACHED  SCRIPTED_FIELD(16, 3)
#define SCRIPTED_WORD_WC        SCRIPTED_FIELD(16, 4)
#define SCRIPTED_WORD_STRAY     SCRIPTED_FIELD(16, 5)
#define SCRIPTED_WORD_ONES      SCRIPTED_FIELD(16, 6)
#define SCRIPTED_WORD(id)       SCRIPTED_GET(id, 16, 7)

/* The renderer's own pointer */
#define SCRIPTED_PTR_EINVAL     SCRIPTED_FIELD(19, 1)
#define SCRIPTED_PTR_TWICE      SCRIPTED_FIELD(19, 2)
#define SCRIPTED_PTR_MISALIGNED SCRIPTED_FIELD(19, 3)
#define SCRIPTED_PTR_ENOMEM     SCRIPTED_FIELD(19, 4)
#define SCRIPTED_PTR_SHORT      SCRIPTED_FIELD(19, 5)
#define SCRIPTED_PTR_NULL       SCRIPTED_FIELD(19, 6)
#define SCRIPTED_PTR_EXACT      SCRIPTED_FIELD(19, 7) /* size not rounded */
#define SCRIPTED_PTR(id)        SCRIPTED_GET(id, 19, 7)

/* mmap() of the fd fails */
#define SCRIPTED_MMAP_ENOMEM    SCRIPTED_FIELD(22, 1)
#define SCRIPTED_MMAP_EINVAL    SCRIPTED_FIELD(22, 2)
#define SCRIPTED_MMAP_ENODEV    SCRIPTED_FIELD(22, 3)
#define SCRIPTED_MMAP(id)       SCRIPTED_GET(id, 22, 3)

#define SCRIPTED_CREATE_FAILS   SCRIPTED_FIELD(24, 1)
#define SCRIPTED_ONE_BUFFER     SCRIPTED_FIELD(25, 1) /* all share one */
#define SCRIPTED_INFO_FAILS     SCRIPTED_FIELD(26, 1)
#define SCRIPTED_SEALED         SCRIPTED_FIELD(27, 1) /* against seals */
#define SCRIPTED_NO_SEALS       SCRIPTED_FIELD(28, 1) /* no memfd at all */
#define SCRIPTED_NEW_EXPORT     SCRIPTED_FIELD(29, 1) /* another each time */
/* OpenGL's: the word is NONE if no capset was filled before it was made */
#define SCRIPTED_GL             SCRIPTED_FIELD(30, 1)

/* The renderer's own mapping, as mremap() finds it */
#define SCRIPTED_MEM_SHARED     SCRIPTED_FIELD(40, 0) /* shared memory */
#define SCRIPTED_MEM_DRIVER     SCRIPTED_FIELD(40, 1) /* a driver's */
#define SCRIPTED_MEM_PRIVATE    SCRIPTED_FIELD(40, 2)
#define SCRIPTED_MEM_READ_ONLY  SCRIPTED_FIELD(40, 3)
#define SCRIPTED_MEM_TWO        SCRIPTED_FIELD(40, 4) /* side by side */
#define SCRIPTED_MEM(id)        SCRIPTED_GET(id, 40, 7)

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

/* The accelerator pretends to be KVM while a device is realized */
#define SCRIPTED_KVM_PLAIN      1  /* no quirks can be switched off */
#define SCRIPTED_KVM_QUIRK      2  /* the one for guest PAT can */
#define SCRIPTED_KVM_STUCK      3  /* it is offered, but stays on */
#define SCRIPTED_KVM_OTHER      4  /* others can */
#define SCRIPTED_KVM_BROKEN     5  /* asking for them fails */
#define SCRIPTED_KVM_FWB        6  /* FEAT_S2FWB, no cacheable PFNMAP */
#define SCRIPTED_KVM_FWB_DIC    7  /* both */
#define SCRIPTED_KVM_NO_FWB     8  /* neither */
#define SCRIPTED_KVM_LIAR       9  /* the latter, it says, but not the first */
#define SCRIPTED_KVM_NO_REGS    10 /* no register can be read */
#define SCRIPTED_KVM_SVPBMT     11
#define SCRIPTED_KVM_NO_SVPBMT  12
#define SCRIPTED_KVM_ANSWER     15
#define SCRIPTED_KVM_NO_VCPU    16 /* QEMU has none yet */

/* What the host pretends to be, in uname(), /proc and /sys */
#define SCRIPTED_CPU_AMD        1  /* KVM with nested paging */
#define SCRIPTED_CPU_AMD_NO_NPT 2  /* without */
#define SCRIPTED_CPU_INTEL      3
#define SCRIPTED_CPU_ARM64      4
#define SCRIPTED_CPU_RISCV64    5
#define SCRIPTED_CPU_S390X      6
#define SCRIPTED_CPU_NO_NAME    7  /* uname() fails */
#define SCRIPTED_CPU_NO_PROC    8  /* x86 without files that tell more */
#define SCRIPTED_CPU__MAX       9

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
#define SCRIPTED_WATCH_ON       1  /* listen to the manager, as VFIO does */
#define SCRIPTED_WATCH_OFF      3
#define SCRIPTED_WATCH_PIN      6  /* like a driver that pins all memory */
#define SCRIPTED_WATCH_UNPIN    7
#define SCRIPTED_WATCH_ASK      8  /* ask the manager all that it can answer */
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
#define SCRIPTED_FIXED__MAX     8

/* What the renderer fails at, as long as it is so ordered */
#define SCRIPTED_REFUSE_FENCE   1  /* virgl_renderer_create_fence() */
#define SCRIPTED_REFUSE_CTX_FENCE 2 /* the same of a context */
#define SCRIPTED_REFUSE_CONTEXT 4
#define SCRIPTED_REFUSE_RESOURCE 8 /* that is not a blob */
#define SCRIPTED_REFUSE_BLOB    16
#define SCRIPTED_REFUSE_START   32
#define SCRIPTED_REFUSE__ALL    63

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

    /* What happened */
    uint64_t creates;
    uint64_t unrefs;
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
    uint64_t populates;
    uint64_t discards;
    uint64_t granularity;
    uint64_t populated;     /* bytes, by replaying */
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
