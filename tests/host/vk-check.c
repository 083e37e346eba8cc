/*
 * A small Vulkan program: in each kind of host-visible memory the device has,
 * fill a buffer, let a shader compute in it, and check every word.
 *
 * Exit status: 0 all right, 1 wrong results, 2 memory refused with an error of
 * Vulkan, 3 no memory could be tried.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <string.h>

#include "vk-device.h"
#include "vk-check.spv.h"

#define WORDS (1u << 18)
#define BYTES (WORDS * 4ull)
#define SECOND 1000000000ull

struct gpu {
    struct vk_device device;
    VkDevice dev; /* the same */
    VkQueue queue;
    VkCommandPool pool;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorPool sets;
};

static void open_gpu(struct gpu *g)
{
    const VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
    };

    open_device(&g->device);
    g->dev = g->device.dev;
    g->queue = g->device.queue;
    need(vkCreateCommandPool(g->dev, &pool, NULL, &g->pool), "command pool");
}

static void make_pipeline(struct gpu *g)
{
    const VkDescriptorSetLayoutBinding binding = {
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .descriptorCount = 1,
        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
    };
    const VkDescriptorSetLayoutCreateInfo set_layout = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = 1,
        .pBindings = &binding,
    };
    const VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = sizeof(shader),
        .pCode = shader,
    };
    const VkDescriptorPoolSize room = {
        .type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .descriptorCount = 64,
    };
    const VkDescriptorPoolCreateInfo sets = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = 64,
        .poolSizeCount = 1,
        .pPoolSizes = &room,
    };
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
    };
    VkComputePipelineCreateInfo pipeline = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT,
            .pName = "main",
        },
    };

    need(vkCreateDescriptorSetLayout(g->dev, &set_layout, NULL,
                                     &g->set_layout), "set layout");
    layout.pSetLayouts = &g->set_layout;
    need(vkCreatePipelineLayout(g->dev, &layout, NULL, &g->layout), "layout");
    need(vkCreateShaderModule(g->dev, &code, NULL, &pipeline.stage.module),
         "shader");
    pipeline.layout = g->layout;
    need(vkCreateComputePipelines(g->dev, VK_NULL_HANDLE, 1, &pipeline, NULL,
                                  &g->pipeline), "pipeline");
    need(vkCreateDescriptorPool(g->dev, &sets, NULL, &g->sets), "sets");
}

static void compute(struct gpu *g, VkBuffer buffer)
{
    const VkDescriptorSetAllocateInfo alloc_set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = g->sets,
        .descriptorSetCount = 1,
        .pSetLayouts = &g->set_layout,
    };
    const VkCommandBufferAllocateInfo alloc_cmd = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = g->pool,
        .commandBufferCount = 1,
    };
    const VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
    };
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };
    const VkFenceCreateInfo fence_info = {
        .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO,
    };
    const VkDescriptorBufferInfo range = {
        .buffer = buffer,
        .range = VK_WHOLE_SIZE,
    };
    VkWriteDescriptorSet write = {
        .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
        .descriptorCount = 1,
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .pBufferInfo = &range,
    };
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = 1,
    };
    VkDescriptorSet set;
    VkCommandBuffer cmd;
    VkFence fence;

    need(vkAllocateDescriptorSets(g->dev, &alloc_set, &set), "set");
    write.dstSet = set;
    vkUpdateDescriptorSets(g->dev, 1, &write, 0, NULL);
    need(vkAllocateCommandBuffers(g->dev, &alloc_cmd, &cmd), "commands");
    need(vkBeginCommandBuffer(cmd, &begin), "begin");
    vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, g->pipeline);
    vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, g->layout, 0,
                            1, &set, 0, NULL);
    vkCmdDispatch(cmd, WORDS / 64, 1, 1);
    vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                         VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL,
                         0, NULL);
    need(vkEndCommandBuffer(cmd), "end");
    need(vkCreateFence(g->dev, &fence_info, NULL, &fence), "fence");
    submit.pCommandBuffers = &cmd;
    need(vkQueueSubmit(g->queue, 1, &submit, fence), "submit");
    need(vkWaitForFences(g->dev, 1, &fence, VK_TRUE, 300 * SECOND), "wait");
    vkDestroyFence(g->dev, fence, NULL);
}

static uint32_t seed(uint32_t i)
{
    return i * 2654435761u ^ 0x5bd1e995u;
}

/* One kind of memory: 0 right, 1 wrong, 2 refused, 3 not for buffers */
static int try_type(struct gpu *g, uint32_t type, VkMemoryPropertyFlags flags)
{
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = BYTES,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
    };
    VkMemoryAllocateInfo alloc = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .memoryTypeIndex = type,
    };
    VkMappedMemoryRange range = {
        .sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
        .size = VK_WHOLE_SIZE,
    };
    VkMemoryRequirements req;
    VkDeviceMemory memory;
    VkBuffer buffer;
    VkResult result;
    uint32_t wrong = 0;
    uint32_t *p;

    need(vkCreateBuffer(g->dev, &info, NULL, &buffer), "buffer");
    vkGetBufferMemoryRequirements(g->dev, buffer, &req);
    if (!(req.memoryTypeBits & 1u << type)) {
        vkDestroyBuffer(g->dev, buffer, NULL);
        return 3;
    }
    alloc.allocationSize = req.size;
    result = vkAllocateMemory(g->dev, &alloc, NULL, &memory);
    if (result != VK_SUCCESS) {
        printf("memory type %u flags 0x%x: allocation refused, error %d\n",
               type, flags, result);
        return 2;
    }
    result = vkMapMemory(g->dev, memory, 0, VK_WHOLE_SIZE, 0, (void **)&p);
    if (result != VK_SUCCESS) {
        printf("memory type %u flags 0x%x: map refused, error %d\n",
               type, flags, result);
        return 2;
    }
    need(vkBindBufferMemory(g->dev, buffer, memory, 0), "bind");
    for (uint32_t i = 0; i < WORDS; i++) {
        p[i] = seed(i);
    }
    range.memory = memory;
    if (!(flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        need(vkFlushMappedMemoryRanges(g->dev, 1, &range), "flush");
    }
    compute(g, buffer);
    if (!(flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        need(vkInvalidateMappedMemoryRanges(g->dev, 1, &range), "invalidate");
    }
    for (uint32_t i = 0; i < WORDS; i++) {
        wrong += p[i] != seed(i) * 3u + i;
    }
    printf("memory type %u flags 0x%x: %llu bytes computed in, %u words wrong\n",
           type, flags, (unsigned long long)BYTES, wrong);
    vkUnmapMemory(g->dev, memory);
    vkDestroyBuffer(g->dev, buffer, NULL);
    vkFreeMemory(g->dev, memory, NULL);
    return wrong ? 1 : 0;
}

int main(void)
{
    VkPhysicalDeviceMemoryProperties props;
    struct gpu g = { };
    int count[4] = { };

    setvbuf(stdout, NULL, _IOLBF, 0);
    open_gpu(&g);
    make_pipeline(&g);
    vkGetPhysicalDeviceMemoryProperties(g.device.phys, &props);
    for (uint32_t i = 0; i < props.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = props.memoryTypes[i].propertyFlags;

        if (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
            count[try_type(&g, i, flags)]++;
        }
    }
    printf("%d kinds of host-visible memory tried\n",
           count[0] + count[1] + count[2]);
    vkDeviceWaitIdle(g.dev);
    return count[1] ? 1 : count[2] ? 2 : count[0] ? 0 : 3;
}
