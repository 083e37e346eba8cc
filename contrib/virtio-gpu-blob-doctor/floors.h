/*
 * virtio-gpu blob doctor: from which versions on things work
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * docs/tools/virtio-gpu-blob-doctor.rst has the same table: keep them alike
 * (tests/host/check-doctor.py --floors compares them).
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FLOORS_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FLOORS_H

/**
 * DoctorPart - what has a version
 */
typedef enum DoctorPart {
    DOCTOR_PART_LINUX,
    DOCTOR_PART_VIRGLRENDERER,
    DOCTOR_PART_MESA,
    DOCTOR_PART_NVIDIA,
} DoctorPart;

/**
 * DoctorWhere - the hosts for which a floor matters
 */
typedef enum DoctorWhere {
    DOCTOR_WHERE_ANY,
    DOCTOR_WHERE_KVM_VRAM,
    DOCTOR_WHERE_KVM_INTEL,
    DOCTOR_WHERE_NVIDIA,
    DOCTOR_WHERE_GUEST,
} DoctorWhere;

/**
 * DoctorFloor - from which version on something works
 * @id: stable, for programs
 * @part: whose version
 * @version: the first one
 * @backport: the first one of an older series that has it too, or NULL
 * @where: the hosts for which it matters; a guest's is not looked at
 * @known: "read" in the source, "tried" by us, or "reported" by users
 * @what: what works from then on, to follow "is needed for"
 */
typedef struct DoctorFloor {
    const char *id;
    DoctorPart part;
    const char *version;
    const char *backport;
    DoctorWhere where;
    const char *known;
    const char *what;
} DoctorFloor;

static const DoctorFloor doctor_floors[] = {
    { "virglrenderer-blobs", DOCTOR_PART_VIRGLRENDERER, "1.0", NULL,
      DOCTOR_WHERE_ANY, "read", "buffers with a cache type" },
    { "virglrenderer-nvidia", DOCTOR_PART_VIRGLRENDERER, "1.2", NULL,
      DOCTOR_WHERE_NVIDIA, "reported", "Vulkan (Venus) on NVIDIA GPUs" },
    { "nvidia-venus", DOCTOR_PART_NVIDIA, "570.86", NULL,
      DOCTOR_WHERE_NVIDIA, "reported", "Vulkan (Venus) on NVIDIA GPUs" },
    { "linux-refcount", DOCTOR_PART_LINUX, "6.13", NULL,
      DOCTOR_WHERE_KVM_VRAM, "read", "GPU buffers under KVM whose pages "
      "have no reference count" },
    { "linux-guest-pat", DOCTOR_PART_LINUX, "6.16", "6.12.78",
      DOCTOR_WHERE_KVM_INTEL, "read", "write-combined buffers on Intel "
      "processors" },
    { "guest-linux-alignment", DOCTOR_PART_LINUX, "7.2", NULL,
      DOCTOR_WHERE_GUEST, "reported", "guests with smaller pages than the "
      "host's" },
    { "guest-mesa-alignment", DOCTOR_PART_MESA, "26.2.4", NULL,
      DOCTOR_WHERE_GUEST, "reported", "guests with smaller pages than the "
      "host's" },
};

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FLOORS_H */
