/*
 * What the Vulkan programs beside share: the first device, with one queue
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VK_DEVICE_H
#define VK_DEVICE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vulkan/vulkan.h>

struct vk_device {
    VkInstance instance;
    VkPhysicalDevice phys;
    VkDevice dev;
    VkQueue queue;
};

/* Exit status 3 says that nothing could be tried. */
static void need(VkResult result, const char *what)
{
    if (result != VK_SUCCESS) {
        printf("vulkan: %s: error %d\n", what, result);
        exit(3);
    }
}

static void open_device(struct vk_device *g)
{
    const VkApplicationInfo app = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .apiVersion = VK_API_VERSION_1_1,
    };
    const VkInstanceCreateInfo instance = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &app,
    };
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    const VkDeviceCreateInfo device = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
    };
    VkPhysicalDeviceProperties props;
    uint32_t n = 1;
    VkResult result;

    need(vkCreateInstance(&instance, NULL, &g->instance), "instance");
    result = vkEnumeratePhysicalDevices(g->instance, &n, &g->phys);
    need(result == VK_INCOMPLETE ? VK_SUCCESS : result, "devices");
    if (!n) {
        printf("vulkan: no device\n");
        exit(3);
    }
    vkGetPhysicalDeviceProperties(g->phys, &props);
    printf("device: %s\n", props.deviceName);
    need(vkCreateDevice(g->phys, &device, NULL, &g->dev), "device");
    vkGetDeviceQueue(g->dev, 0, 0, &g->queue);
}

#endif /* VK_DEVICE_H */
