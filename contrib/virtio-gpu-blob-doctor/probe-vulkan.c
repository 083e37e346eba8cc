/*
 * virtio-gpu blob doctor: the host's Vulkan devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virglrenderer's render server inherits QEMU's environment and asks libvulkan
 * for devices; so does this process, which inherits the doctor's.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "probes.h"

#include <dlfcn.h>

/*
 * The few parts of Vulkan's interface (vulkan_core.h) that this needs, and no
 * header, so that the doctor can be built without it
 */

#define VK_STRUCTURE_TYPE_APPLICATION_INFO 0
#define VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO 1
#define VK_API_VERSION_1_1 (1u << 22 | 1u << 12)
#define VK_PHYSICAL_DEVICE_TYPE_CPU 4

typedef struct VkApplicationInfo {
    int type;
    const void *next;
    const char *application;
    uint32_t application_version;
    const char *engine;
    uint32_t engine_version;
    uint32_t api_version;
} VkApplicationInfo;

typedef struct VkInstanceCreateInfo {
    int type;
    const void *next;
    uint32_t flags;
    const VkApplicationInfo *application;
    uint32_t layer_count;
    const char *const *layers;
    uint32_t extension_count;
    const char *const *extensions;
} VkInstanceCreateInfo;

/* With more at its end, which is of no interest: 824 bytes in all */
typedef struct VkPhysicalDeviceProperties {
    uint32_t api_version;
    uint32_t driver_version;
    uint32_t vendor;
    uint32_t device;
    uint32_t type;
    char name[256];
    uint64_t rest[128];
} VkPhysicalDeviceProperties;

typedef struct Vulkan {
    int (*create_instance)(const VkInstanceCreateInfo *info,
                           const void *allocator, void **instance);
    int (*enumerate)(void *instance, uint32_t *count, void **devices);
    void (*get_properties)(void *device, VkPhysicalDeviceProperties *props);
} Vulkan;

static bool load(Vulkan *vk)
{
    void *lib = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        return false;
    }
    vk->create_instance = dlsym(lib, "vkCreateInstance");
    vk->enumerate = dlsym(lib, "vkEnumeratePhysicalDevices");
    vk->get_properties = dlsym(lib, "vkGetPhysicalDeviceProperties");
    return vk->create_instance && vk->enumerate && vk->get_properties;
}

static int create_instance(const Vulkan *vk, void **instance)
{
    static const VkApplicationInfo application = {
        .type = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .application = "virtio-gpu-blob-doctor",
        .api_version = VK_API_VERSION_1_1,
    };
    static const VkInstanceCreateInfo info = {
        .type = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .application = &application,
    };

    return vk->create_instance(&info, NULL, instance);
}

void doctor_vulkan_probe(void *found)
{
    DoctorVulkan *vulkan = found;
    DoctorProbe *probe = &vulkan->probe;
    void *devices[DOCTOR_VULKAN_MAX], *instance;
    uint32_t i, count = ARRAY_SIZE(devices);
    Vulkan vk;

    vulkan->found = load(&vk);
    if (!vulkan->found) {
        return;
    }
    pstrcpy(probe->stage, sizeof(probe->stage), "creating an instance");
    vulkan->result = create_instance(&vk, &instance);
    if (vulkan->result) {
        return;
    }
    pstrcpy(probe->stage, sizeof(probe->stage), "listing devices");
    vulkan->result = MIN(vk.enumerate(instance, &count, devices), 0);
    for (i = 0; !vulkan->result && i < count; i++) {
        DoctorVulkanDevice *device = &vulkan->devices[i];
        VkPhysicalDeviceProperties props = { };

        vk.get_properties(devices[i], &props);
        pstrcpy(device->name, sizeof(device->name), props.name);
        device->software = props.type == VK_PHYSICAL_DEVICE_TYPE_CPU;
        vulkan->count++;
    }
}
